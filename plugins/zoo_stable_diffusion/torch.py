"""Stable Diffusion by PyTorch: the source itself, run by diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats.torch import best_device, computing
from zoo_stable_diffusion.loading import load_module
from zoo_stable_diffusion.model import Conditioning, StableDiffusionModel
from zoo_stable_diffusion.safety import CHECKER


class TorchStableDiffusion(StableDiffusionModel):
    """A pipeline's folder as diffusers saves it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTextModelWithProjection

        self.device = best_device()

        def load(kind: Any, component: str) -> Any:
            return load_module(kind, folder, component).to(self.device)

        kinds = (CLIPTextModel, CLIPTextModelWithProjection)
        self.encoders = [load(kinds[name[-1] == "2"], name) for name in self.config.encoders]
        self.unet = load(UNet2DConditionModel, "unet")
        self.vae = load(AutoencoderKL, "vae")
        self.checker: Any = None
        self.checks = self.config.checked
        if self.checks:
            from diffusers.pipelines.stable_diffusion.safety_checker import (
                StableDiffusionSafetyChecker,
            )

            self.checker = load(StableDiffusionSafetyChecker, CHECKER)

    def text(self, ids: Sequence[Any]) -> Conditioning:
        import numpy as np
        import torch

        with computing(self.unet):
            found = [
                encoder(torch.from_numpy(rows).to(self.device), output_hidden_states=True)
                for encoder, rows in zip(self.encoders, ids, strict=True)
            ]
        if not self.config.sized:
            return Conditioning(found[0].last_hidden_state.cpu().numpy())
        hidden = np.concatenate([one.hidden_states[-2].cpu().numpy() for one in found], 2)
        return Conditioning(hidden, found[-1].text_embeds.cpu().numpy())

    def noise(self, latents: Any, timestep: float, conditioning: Conditioning, sizes: Any) -> Any:
        import torch

        def on(array: Any) -> Any:
            return torch.from_numpy(array).to(self.device)

        more = None
        if sizes is not None:
            more = {"text_embeds": on(conditioning.pooled), "time_ids": on(sizes)}
        with computing(self.unet):
            time = torch.tensor(timestep, device=self.device)
            found = self.unet(
                on(latents),
                time,
                on(conditioning.hidden),
                timestep_cond=None if conditioning.guidance is None else on(conditioning.guidance),
                added_cond_kwargs=more,
            )
            return found.sample.cpu().numpy()

    def picture(self, latents: Any) -> Any:
        import torch

        with computing(self.unet):
            given = torch.from_numpy(latents).to(self.device)
            return self.vae.decode(given).sample.cpu().numpy()

    def latents(self, pictures: Any) -> Any:
        return self.moments(pictures)[0]

    def moments(self, pictures: Any) -> tuple[Any, Any]:
        import torch

        with computing(self.unet):
            given = torch.from_numpy(pictures).to(self.device)
            found = self.vae.encode(given).latent_dist
            return found.mean.cpu().numpy(), found.logvar.cpu().numpy()

    def unsafe(self, seen: Any) -> Sequence[bool]:
        import numpy as np
        import torch

        given = torch.from_numpy(seen).to(self.device)
        _, flagged = self.checker(clip_input=given, images=[np.zeros(1)] * len(seen))
        return list(flagged)

    def add_adapters(self, folders: Mapping[str, Path]) -> Self:
        """Have the LoRA styles in these folders to choose from; returns the model.

        Raises:
            IntegrityError: a style is damaged, or of another model.
        """
        import torch

        from zoo.formats import read_adapters
        from zoo.formats.torch import Branches

        modules = dict(zip(self.config.encoders, self.encoders, strict=True))
        modules["unet"] = self.unet
        self._branches = []
        for part, module in modules.items():
            shapes = {
                f"{name}.weight": tuple(layer.weight.shape)
                for name, layer in module.named_modules()
                if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
            }
            self._branches.append(Branches(module, read_adapters(folders, shapes, part)))
        self.adapters = tuple(folders)
        return self

    def blend(self, weights: Mapping[str, float]) -> None:
        for branches in self._branches:
            branches.use(weights)

    def close(self) -> None:
        super().close()
        self.drop("encoders", "unet", "vae")
        self.checker = None


@zoo.hookimpl
def run(artifact: Path, adapters: Mapping[str, Path]) -> zoo.ImageModel:
    return TorchStableDiffusion(artifact).add_adapters(adapters)
