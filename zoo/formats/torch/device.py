"""The device that a model runs on in PyTorch: the caller's choice, else the best one here."""

from __future__ import annotations

from contextvars import ContextVar

from zoo.errors import UsageError
from zoo.words import suggest

DEVICES = ("cpu", "mps", "cuda")

CHOSEN: ContextVar[str | None] = ContextVar("device", default=None)
"""What the caller of `zoo.load` asked for."""


def require(device: str) -> None:
    """Refuse a device that this machine does not have.

    Args:
        device: `cpu`, `mps`, `cuda`, or a GPU by its number, such as `cuda:1`.

    Raises:
        UsageError: it is none, or PyTorch does not find it here. Nothing is said of it where
            PyTorch is not installed.
    """
    kind, colon, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            f"{device!r} is not a device of PyTorch{suggest(kind, DEVICES)}",
            f"devices: {', '.join(DEVICES)}, or one of several GPUs, such as cuda:1",
        )
    try:
        import torch
    except ImportError:
        return  # loading the model says what to install
    found = {"cpu": 1, "mps": int(torch.backends.mps.is_available())}
    found["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= found[kind]:
        here = ", ".join(name for name, count in found.items() if count)
        raise UsageError(
            f"PyTorch {torch.__version__} finds no device '{device}' on this machine",
            f"devices here: {here}",
        )


def best_device() -> str:
    """Return the device to load a model onto.

    This is the device that the caller of `zoo.load` chose, or else `mps`, `cuda` or `cpu`.
    """
    import torch

    if (chosen := CHOSEN.get()) is not None:
        return chosen
    if torch.backends.mps.is_available():
        return "mps"
    return "cuda" if torch.cuda.is_available() else "cpu"
