"""Stable Diffusion as programs, one for each component: what formats write and run alike."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import link_or_copy, read_json
from zoo.formats.coreml import Program
from zoo_stable_diffusion.config import DiffusionConfig, weights_of
from zoo_stable_diffusion.loading import TOKENS, load_module, load_tokenizer
from zoo_stable_diffusion.model import BESIDE, Conditioning, StableDiffusionModel
from zoo_stable_diffusion.safety import CHECKER
from zoo_stable_diffusion.schedulers import Schedule

UNET, DECODER, ENCODER = "unet", "vae_decoder", "vae_encoder"

Shape = tuple[Any, ...]
"""The length of each axis: a number, or what the format has for an axis of any length."""


class StableDiffusionPrograms(StableDiffusionModel):
    """A build that is a program for each component.

    Args:
        folder: a finished build.
        suffix: of the programs' files.
        opened: opens the program at a path.

    Attributes:
        unet: the program of the U-Net, which a format opens by itself.
        text_outputs: what a text encoder calls its hidden states and the pooled one.
    """

    at_once = 1
    """Rows that go through the U-Net together."""

    unet: Program
    text_outputs: tuple[str, str]

    def __init__(self, folder: Path, suffix: str, opened: Callable[[Path], Program]) -> None:
        super().__init__(folder)
        self.encoders = [opened(folder / f"{name}{suffix}") for name in self.config.encoders]
        self.decoder = opened(folder / f"{DECODER}{suffix}")
        self.encoder = opened(folder / f"{ENCODER}{suffix}")
        checker = folder / f"{CHECKER}{suffix}"
        self.checks = checker.is_dir()
        self.checker = opened(checker) if self.checks else None

    def text(self, ids: Sequence[Any]) -> Conditioning:
        import numpy as np

        states, pooled = self.text_outputs
        hidden, last = [], None
        for encoder, rows in zip(self.encoders, ids, strict=True):
            found = [encoder.predict({"input_ids": row[None].astype(np.float32)}) for row in rows]
            hidden.append(_joined(found, states))
            last = _joined(found, pooled) if self.config.sized else None
        return Conditioning(np.concatenate(hidden, 2), last)

    def noise(self, latents: Any, timestep: float, conditioning: Conditioning, sizes: Any) -> Any:
        import numpy as np

        given = {
            "sample": latents,
            "timestep": np.full(len(latents), timestep, np.float32),
            "encoder_hidden_states": conditioning.hidden.transpose(0, 2, 1)[:, :, None],
        }
        if sizes is not None:
            given |= {"time_ids": sizes, "text_embeds": conditioning.pooled}
        if conditioning.guidance is not None:
            given["timestep_cond"] = conditioning.guidance
        found = [
            self.unet.predict({name: array[n : n + self.at_once] for name, array in given.items()})
            for n in range(0, len(latents), self.at_once)
        ]
        return _joined(found, "noise_pred")

    def picture(self, latents: Any) -> Any:
        return _joined([self.decoder.predict({"z": row[None]}) for row in latents], "image")

    def latents(self, pictures: Any) -> Any:
        return self.moments(pictures)[0]

    def moments(self, pictures: Any) -> tuple[Any, Any]:
        found = _joined([self.encoder.predict({"x": row[None]}) for row in pictures], "latent")
        return found[:, : self.config.channels], found[:, self.config.channels :]

    def unsafe(self, seen: Any) -> Sequence[bool]:
        import numpy as np

        assert self.checker is not None
        none = np.zeros(1, np.float32)
        given = [{"clip_input": one[None], "adjustment": none} for one in seen]
        return [bool(self.checker.predict(one)["has_nsfw_concepts"][0]) for one in given]

    def close(self) -> None:
        super().close()
        self.drop("encoders", "decoder", "encoder", "unet", "checker")


def _joined(found: Sequence[Mapping[str, Any]], name: str) -> Any:
    import numpy as np

    return np.concatenate([np.asarray(part[name], np.float32) for part in found])


class Conversion(ABC):
    """The conversion of one pipeline.

    Args:
        config: of the pipeline.
        source: its folder.
        workdir: where the programs go.

    Attributes:
        rows: the length of the axis of rows in the U-Net.
        text_outputs: what a text encoder calls its hidden states and the pooled one.
    """

    counted = "programs"
    """What progress counts."""

    rows: Any = 1
    text_outputs: tuple[str, str]

    def __init__(self, config: DiffusionConfig, source: Path, workdir: Path) -> None:
        self.config, self.source, self.workdir = config, source, workdir
        self.unet = read_json(source / UNET / "config.json")

    @abstractmethod
    def sides(self, factor: int = 1) -> tuple[Any, Any]:
        """Height and width of a latent picture, times `factor`."""

    @abstractmethod
    def write(
        self, module: Any, inputs: Mapping[str, Shape], outputs: Sequence[str], name: str
    ) -> None:
        """Write one program.

        Args:
            module: a component, of `zoo_stable_diffusion.module`.
            inputs: the shapes of its arguments, by the names to give them.
            outputs: the names to give to what it returns.
            name: of the program.
        """

    def run(self, progress: zoo.Progress) -> None:
        """Write every program. One component at a time is in memory.

        Raises:
            zoo.IntegrityError: a component is missing, damaged or pickled.
        """
        parts = ["vae", UNET, *self.config.encoders, *([CHECKER] if self.config.checked else [])]
        for name in parts:
            weights_of(self.source, name)  # what is wrong is said now, not after minutes
        for name in self.config.encoders:
            load_tokenizer(self.source, name)
        Schedule(self.config.schedule, self.config.corrections)
        steps: list[Callable[[], None]] = [self.write_decoder, self.write_encoder, self.write_unet]
        steps += [partial(self.write_text, name) for name in self.config.encoders]
        if self.config.checked:
            steps.append(self.write_checker)
        for done, step in enumerate(steps):
            progress.update(done, len(steps), self.counted)
            step()
            gc.collect()
        progress.update(len(steps), len(steps), self.counted)
        self.copy_the_rest()

    def load(self, kind: Any, component: str) -> Any:
        """A component in float32."""
        return load_module(kind, self.source, component)

    def text_mask(self) -> Any:
        """What a text encoder adds to the scores of attention; `None` for what it has itself."""
        return None

    def write_text(self, name: str) -> None:
        """A text encoder; its mask is far below any score, but no infinity."""
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        from zoo_stable_diffusion.module import TextEncoder

        kind = CLIPTextModelWithProjection if name[-1] == "2" else CLIPTextModel
        module = TextEncoder(self.load(kind, name), self.config.sized, self.text_mask())
        self.write(module, {"input_ids": (1, TOKENS)}, self.text_outputs, name)

    def write_unet(self) -> None:
        """The U-Net, with inputs of the names of https://github.com/apple/ml-stable-diffusion."""
        from diffusers import UNet2DConditionModel

        from zoo_stable_diffusion.module import UNet

        config, rows = self.config, self.rows
        inputs: dict[str, Shape] = {
            "sample": (rows, config.given, *self.sides()),
            "timestep": (rows,),
            "encoder_hidden_states": (rows, self.unet.get("cross_attention_dim", 1280), 1, TOKENS),
        }
        if config.sized:
            sizes = 5 if config.scored else 6
            of_sizes = sizes * self.unet["addition_time_embed_dim"]
            pooled = self.unet["projection_class_embeddings_input_dim"] - of_sizes
            inputs |= {"time_ids": (rows, sizes), "text_embeds": (rows, pooled)}
        if config.guided_inside:
            inputs["timestep_cond"] = (rows, config.guided_inside)
        module = UNet(self.load(UNet2DConditionModel, UNET), config.sized)
        self.write(module, inputs, ["noise_pred"], UNET)

    def write_decoder(self) -> None:
        """The autoencoder's way from latents to pictures."""
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.module import Decoder

        module = Decoder(self.load(AutoencoderKL, "vae"))
        self.write(module, {"z": (1, self.config.channels, *self.sides())}, ["image"], DECODER)

    def write_encoder(self) -> None:
        """The autoencoder's way from pictures to latents."""
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.module import Encoder

        module = Encoder(self.load(AutoencoderKL, "vae"))
        self.write(module, {"x": (1, 3, *self.sides(self.config.factor))}, ["latent"], ENCODER)

    def write_checker(self) -> None:
        """The safety checker."""
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        from zoo_stable_diffusion.module import SafetyChecker

        checker = self.load(StableDiffusionSafetyChecker, CHECKER)
        side = checker.config.vision_config.image_size
        inputs: dict[str, Shape] = {"clip_input": (1, 3, side, side), "adjustment": (1,)}
        outputs = ["has_nsfw_concepts", "concept_scores"]
        self.write(SafetyChecker(checker), inputs, outputs, CHECKER)

    def copy_the_rest(self) -> None:
        """What is read beside the programs: tokenizers, scheduler and configs."""
        parts = [*self.config.encoders, UNET, "vae"]
        wanted = [self.source / "model_index.json"]
        wanted += [self.source / part / "config.json" for part in parts]
        for folder in (*BESIDE, "feature_extractor"):
            wanted += sorted(path for path in (self.source / folder).glob("*") if path.is_file())
        for path in wanted:
            target = self.workdir / path.relative_to(self.source)
            target.parent.mkdir(exist_ok=True)
            link_or_copy(path, target)
