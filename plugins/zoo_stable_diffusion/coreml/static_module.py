"""The modules of diffusers and transformers as the Neural Engine likes them, in one size.

Linear layers become convolutions of one pixel, group norms become instance norms, which need no
square in float16, and attention is two products in place of one fused operation.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import instance_norm, linear


def make_static(module: nn.Module) -> None:
    """Change a component in place; it computes the same."""
    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")
    if hasattr(module, "set_attn_processor"):
        from diffusers.models.attention_processor import AttnProcessor

        module.set_attn_processor(AttnProcessor())
    _replace(module)


def _replace(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, GroupNorm(child))
        elif isinstance(child, nn.Linear) and not _is_of_vectors(name):
            setattr(module, name, Pointwise(child))
        else:
            _replace(child)


def _is_of_vectors(name: str) -> bool:
    """Whether a linear layer is given one vector, such as the embedding of the time."""
    return name in ("linear_1", "linear_2", "cond_proj", "time_emb_proj", "text_projection")


class Pointwise(nn.Conv2d):
    """A linear layer as a convolution, of (batch, positions, width) or (batch, width, 1, n).

    One vector for each example, (batch, width), stays a product with a matrix.
    """

    def __init__(self, layer: nn.Linear) -> None:
        rows, columns = layer.weight.shape
        super().__init__(columns, rows, 1, bias=layer.bias is not None)
        self.weight = nn.Parameter(layer.weight.data[:, :, None, None])
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 2:
            return linear(x, self.weight.flatten(1), self.bias)
        if x.dim() == 4:
            return super().forward(x)
        return super().forward(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)


class GroupNorm(nn.Module):
    """`nn.GroupNorm` as the instance norm of its groups."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.eps = norm.num_groups, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        each = [-1, *(1 for _ in x.shape[2:])]
        grouped = x.reshape(x.shape[0], self.groups, -1, x.shape[-1])
        normed = instance_norm(grouped, eps=self.eps).reshape(x.shape)
        return normed * self.weight.reshape(each) + self.bias.reshape(each)
