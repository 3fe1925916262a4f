"""The samplers by the names that people use; diffusers brings them all."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import zoo

SCHEDULERS = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++-karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
    ),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}


def make_scheduler(name: str | None, own: str, config: dict[str, Any]) -> Any:
    """A scheduler of diffusers.

    Args:
        name: one of `SCHEDULERS`, or `None` for the source's own.
        own: the class of the source's own.
        config: that of the source: the noise it was trained with.

    Raises:
        InputError: there is no such scheduler.
        IntegrityError: the source's own is not known to diffusers.
    """
    if name is not None and name not in SCHEDULERS:
        close = get_close_matches(name, SCHEDULERS, n=1)
        meant = f", did you mean '{close[0]}'?" if close else ""
        raise zoo.InputError(
            f"there is no scheduler '{name}'{meant}",
            f"schedulers: {', '.join(SCHEDULERS)}",
        )
    kind, changes = SCHEDULERS[name] if name else (own, {})
    made = getattr(import_module("diffusers"), kind, None)
    if made is None or not kind.endswith("Scheduler"):
        raise zoo.IntegrityError(f"diffusers has no scheduler '{kind}', which the source names")
    return made.from_config(config, **changes)
