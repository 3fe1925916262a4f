"""The components as programs: diffusers' own modules, their inputs by position.

Names, shapes and layouts are those of https://github.com/apple/ml-stable-diffusion, so that a
program written for its packages can use these.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """CLIP's text encoder: token ids (1, 77) to hidden states (1, 77, C) and the pooled one.

    Args:
        encoder: of transformers.
        sized: whether it is of SDXL, which takes the last but one hidden states.
        mask: added to the scores of attention, (1, 1, 77, 77); `None` for the encoder's own.
    """

    def __init__(self, encoder: nn.Module, sized: bool, mask: Tensor | None = None) -> None:
        super().__init__()
        self.encoder, self.sized = encoder, sized
        self.register_buffer("mask", mask)

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        found = self.encoder(
            input_ids.to(torch.int64), attention_mask=self.mask, output_hidden_states=self.sized
        )
        pooled = getattr(found, "text_embeds", None)
        hidden = found.hidden_states[-2] if self.sized else found.last_hidden_state
        return hidden, found.pooler_output if pooled is None else pooled


class UNet(nn.Module):
    """The U-Net: latents (B, 4, H, W), time (B,) and hidden states (B, C, 1, 77) to noise.

    That of SDXL is given sizes (B, 6) and the pooled hidden state too, and that of a latent
    consistency model an embedding of the guidance, last.
    """

    def __init__(self, unet: nn.Module, sized: bool = False) -> None:
        super().__init__()
        self.unet, self.sized = with_flexible_norms(unet), sized

    def forward(self, sample: Tensor, timestep: Tensor, hidden: Tensor, *more: Tensor) -> Tensor:
        conditioning = hidden.squeeze(2).transpose(1, 2)
        sizes = {}
        if self.sized:
            sizes = {"time_ids": more[0], "text_embeds": more[1]}
            more = more[2:]
        (found,) = self.unet(
            sample,
            timestep,
            conditioning,
            timestep_cond=more[0] if more else None,
            added_cond_kwargs=sizes,
            return_dict=False,
        )
        noise: Tensor = found
        return noise


class Decoder(nn.Module):
    """Latents (B, 4, H, W), not scaled, to pictures (B, 3, 8 H, 8 W)."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = with_flexible_norms(vae)
        del self.vae.encoder, self.vae.quant_conv

    def forward(self, z: Tensor) -> Tensor:
        (picture,) = self.vae.decode(z, return_dict=False)
        found: Tensor = picture
        return found


class Encoder(nn.Module):
    """Pictures (B, 3, 8 H, 8 W) to mean and logarithm of the variance of latents (B, 8, H, W)."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = with_flexible_norms(vae)
        del self.vae.decoder, self.vae.post_quant_conv

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.vae.encoder(x)
        return found if self.vae.quant_conv is None else self.vae.quant_conv(found)


FLAGGED = 0.0005
"""The least score of a concept that is seen: diffusers rounds scores to three decimals."""


class SafetyChecker(nn.Module):
    """Pictures as CLIP sees them, (1, 3, 224, 224), to whether they show what they should not.

    `adjustment` (1,) is added to every score: above 0, more is flagged.
    """

    def __init__(self, checker: Any) -> None:
        super().__init__()
        self.vision_model, self.projection = checker.vision_model, checker.visual_projection
        normalize = nn.functional.normalize
        self.concepts = nn.Parameter(normalize(checker.concept_embeds))
        self.cares = nn.Parameter(normalize(checker.special_care_embeds))
        self.concept_least = checker.concept_embeds_weights
        self.care_least = checker.special_care_embeds_weights

    def forward(self, clip_input: Tensor, adjustment: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.projection(self.vision_model(clip_input)[1])
        seen = seen * torch.rsqrt((seen * seen).mean(1, keepdim=True)) / seen.shape[1] ** 0.5
        cares = nn.functional.linear(seen, self.cares) - self.care_least + adjustment
        careful = 0.01 * (cares > FLAGGED).any(1, keepdim=True)
        concepts = nn.functional.linear(seen, self.concepts) - self.concept_least
        scores = concepts + adjustment + careful
        return (scores > FLAGGED).any(1), scores


class GroupNorm(nn.Module):
    """`nn.GroupNorm` for axes of any length: only the moments of channels are put into groups.

    Channels of a group have as many values each, so the mean of their means is that of the group.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.eps = norm.num_groups, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        axes = list(range(2, x.dim()))
        each = [-1, *(1 for _ in axes)]
        apart = x - self._of_groups(x.mean(axes, keepdim=True))
        spread = self._of_groups((apart * apart).mean(axes, keepdim=True))
        scale = torch.rsqrt(spread + self.eps) * self.weight.reshape(each)
        return apart * scale + self.bias.reshape(each)

    def _of_groups(self, moments: Tensor) -> Tensor:
        """(B, C, 1, ...) to the same, with the mean of its group in place of each."""
        channels, ones = len(self.weight), [1] * (moments.dim() - 2)
        inside = channels // self.groups
        apart = moments.reshape(-1, self.groups, inside)
        return apart.mean(2, keepdim=True).repeat(1, 1, inside).reshape(-1, channels, *ones)


def with_flexible_norms(module: nn.Module) -> nn.Module:
    """The module, its group norms replaced by those above."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, GroupNorm(child))
        else:
            with_flexible_norms(child)
    return module
