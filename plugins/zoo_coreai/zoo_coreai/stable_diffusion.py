"""Stable Diffusion by Core AI: a program for each component, for pictures of one size.

Shapes are fixed, as in Apple's own recipes: programs load faster so, and run on every compute unit.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import link_or_copy, read_json, read_options
from zoo.tasks import DenoisingStep, ImageOptions

from zoo_coreai.options import DiffusionOptions
from zoo_coreai.running import SUFFIX, Program
from zoo_coreai.writing import Names, write_program
from zoo_stable_diffusion.config import DiffusionConfig, read_diffusion_config, weights_of
from zoo_stable_diffusion.loading import load_module, load_tokenizer
from zoo_stable_diffusion.model import BESIDE, Conditioning, StableDiffusionModel
from zoo_stable_diffusion.safety import CHECKER
from zoo_stable_diffusion.schedulers import Schedule

UNET, DECODER, ENCODER = "unet", "vae_decoder", "vae_encoder"

TOKENS = 77
"""Of each prompt, as CLIP was trained."""

ABOUT = "coreai.json"
"""Where a build keeps the size of its pictures."""


class CoreAIStableDiffusion(StableDiffusionModel):
    """A build of this module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)

        def opened(name: str) -> Program:
            return Program(folder / f"{name}{SUFFIX}")

        self.encoders = [opened(name) for name in self.config.encoders]
        self.unet, self.decoder, self.encoder = map(opened, (UNET, DECODER, ENCODER))
        self.checks = (folder / f"{CHECKER}{SUFFIX}").is_dir()
        self.checker = opened(CHECKER) if self.checks else None
        about = read_json(folder / ABOUT)
        if not all(type(about.get(side)) is int for side in ("width", "height")):
            raise zoo.IntegrityError(f"{folder / ABOUT} is damaged", "build it again")
        self.size: tuple[int, int] = about["width"], about["height"]

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        width, height = self.size
        if image is not None:
            asked = options.width or image.width, options.height or image.height
        else:
            asked = options.width or width, options.height or height
        if asked != self.size:
            raise zoo.InputError(
                f"this Core AI build generates pictures of {width}x{height} pixels, and "
                f"{asked[0]}x{asked[1]} is asked for",
                "choose another format, or build for this size with the options 'width' and "
                "'height'",
            )
        return super().denoise(prompts, replace(options, width=width, height=height), image, mask)

    def text(self, ids: Sequence[Any]) -> Conditioning:
        import numpy as np

        hidden, pooled = [], None
        for encoder, rows in zip(self.encoders, ids, strict=True):
            found = [encoder.predict({"input_ids": row[None]}) for row in rows]
            hidden.append(_joined(found, "hidden"))
            pooled = _joined(found, "pooled") if self.config.sized else None
        return Conditioning(np.concatenate(hidden, 2), pooled)

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
            self.unet.predict({name: array[n : n + 1] for name, array in given.items()})
            for n in range(len(latents))
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
        programs = [*self.encoders, self.unet, self.decoder, self.encoder, self.checker]
        for program in programs:
            if program is not None:
                program.close()


def _joined(found: Sequence[dict[str, Any]], name: str) -> Any:
    import numpy as np

    return np.concatenate([np.asarray(part[name], np.float32) for part in found])


class Conversion:
    """The conversion of one pipeline.

    Args:
        recipe: says what the programs tell of themselves.
        source: the pipeline's folder.
        workdir: where the programs go.
        options: of the build.

    Raises:
        zoo.RecipeError: the size is none that the model can generate.
    """

    def __init__(
        self, recipe: zoo.Recipe, source: Path, workdir: Path, options: DiffusionOptions
    ) -> None:
        import torch

        self.recipe, self.source, self.workdir = recipe, source, workdir
        self.config: DiffusionConfig = read_diffusion_config(source)
        self.kind = getattr(torch, options.precision)
        self.width = options.width or self.config.width
        self.height = options.height or self.config.height
        factor = self.config.factor
        for name in ("width", "height"):
            if (pixels := getattr(self, name)) % factor or pixels < factor:
                raise zoo.RecipeError(
                    f"'{recipe.ref}' asks coreai for a {name} of {pixels} pixels, which is no "
                    f"multiple of {factor}"
                )
        self.sides = self.height // factor, self.width // factor
        self.unet = read_json(source / UNET / "config.json")

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
            progress.update(done, len(steps), "programs")
            step()
            gc.collect()
        progress.update(len(steps), len(steps), "programs")
        self.copy_the_rest()

    def write_text(self, name: str) -> None:
        """A text encoder: token ids (1, 77) to hidden states and the pooled one."""
        import torch
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        from zoo_stable_diffusion.coreml.module import TextEncoder

        kind = CLIPTextModelWithProjection if name[-1] == "2" else CLIPTextModel
        module = TextEncoder(load_module(kind, self.source, name), self.config.sized)
        example = [torch.ones(1, TOKENS, dtype=torch.int32)]
        self.write(module, example, Names(["input_ids"], ["hidden", "pooled"]), name)

    def write_unet(self) -> None:
        """The U-Net, with inputs of the names of https://github.com/apple/ml-stable-diffusion."""
        import torch
        from diffusers import UNet2DConditionModel

        from zoo_stable_diffusion.coreml.module import UNet

        config = self.config
        width = self.unet.get("cross_attention_dim", 1280)
        inputs: dict[str, tuple[int, ...]] = {
            "sample": (1, config.given, *self.sides),
            "timestep": (1,),
            "encoder_hidden_states": (1, width, 1, TOKENS),
        }
        if config.sized:
            sizes = 5 if config.scored else 6
            of_sizes = sizes * self.unet["addition_time_embed_dim"]
            pooled = self.unet["projection_class_embeddings_input_dim"] - of_sizes
            inputs |= {"time_ids": (1, sizes), "text_embeds": (1, pooled)}
        if config.guided_inside:
            inputs["timestep_cond"] = (1, config.guided_inside)
        example = [torch.zeros(shape, dtype=self.kind) for shape in inputs.values()]
        module = UNet(load_module(UNet2DConditionModel, self.source, UNET), config.sized)
        self.write(module, example, Names(list(inputs), ["noise_pred"]), UNET)

    def write_decoder(self) -> None:
        """The autoencoder's way from latents to pictures."""
        import torch
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.coreml.module import Decoder

        module = Decoder(load_module(AutoencoderKL, self.source, "vae"))
        example = [torch.zeros(1, self.config.channels, *self.sides, dtype=self.kind)]
        self.write(module, example, Names(["z"], ["image"]), DECODER)

    def write_encoder(self) -> None:
        """The autoencoder's way from pictures to latents."""
        import torch
        from diffusers import AutoencoderKL

        from zoo_stable_diffusion.coreml.module import Encoder

        module = Encoder(load_module(AutoencoderKL, self.source, "vae"))
        example = [torch.zeros(1, 3, self.height, self.width, dtype=self.kind)]
        self.write(module, example, Names(["x"], ["latent"]), ENCODER)

    def write_checker(self) -> None:
        """The safety checker, in float32: thousandths decide."""
        import torch
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

        from zoo_stable_diffusion.coreml.module import SafetyChecker

        checker = load_module(StableDiffusionSafetyChecker, self.source, CHECKER)
        side = checker.config.vision_config.image_size
        write_program(
            SafetyChecker(checker).eval(),
            [torch.zeros(1, 3, side, side), torch.zeros(1)],
            Names(["clip_input", "adjustment"], ["has_nsfw_concepts", "concept_scores"]),
            self.workdir / f"{CHECKER}{SUFFIX}",
            self.recipe,
        )

    def write(self, module: Any, example: Sequence[Any], names: Names, name: str) -> None:
        """One program in the precision asked for."""
        path = self.workdir / f"{name}{SUFFIX}"
        write_program(module.eval().to(self.kind), example, names, path, self.recipe)

    def copy_the_rest(self) -> None:
        """What is read beside the programs: their size, tokenizers, scheduler and configs."""
        about = {"width": self.width, "height": self.height}
        (self.workdir / ABOUT).write_text(json.dumps(about, indent=2))
        parts = [*self.config.encoders, UNET, "vae"]
        wanted = [self.source / "model_index.json"]
        wanted += [self.source / part / "config.json" for part in parts]
        for folder in (*BESIDE, "feature_extractor"):
            wanted += sorted(path for path in (self.source / folder).glob("*") if path.is_file())
        for path in wanted:
            target = self.workdir / path.relative_to(self.source)
            target.parent.mkdir(exist_ok=True)
            link_or_copy(path, target)


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    options = read_options(DiffusionOptions, recipe, build)
    Conversion(recipe, source, workdir, options).run(progress)
    return workdir


@zoo.hookimpl
def run(artifact: Path) -> zoo.ImageModel:
    return CoreAIStableDiffusion(artifact)
