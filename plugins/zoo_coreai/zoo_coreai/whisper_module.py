"""Whisper's decoder in PyTorch as Core AI wants it: its states are written once in a call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import zoo_whisper.module


class Decoder(zoo_whisper.module.Decoder):
    """As its base class, which writes each layer's keys and values into the states by itself.

    In a program without side effects each of these writes copies the states whole.
    """

    def extended(
        self, number: int, keys: Tensor, values: Tensor, begin: int, end: int
    ) -> tuple[Tensor, Tensor]:
        one = slice(number, number + 1)
        return (
            torch.cat((self.keyCache[one, :, :begin], keys), 2),
            torch.cat((self.valueCache[one, :, :begin], values), 2),
        )

    def finish(
        self, keys: Sequence[Tensor], values: Sequence[Tensor], begin: int, end: int
    ) -> None:
        self.keyCache[:, :, begin:end] = torch.cat(keys)
        self.valueCache[:, :, begin:end] = torch.cat(values)
