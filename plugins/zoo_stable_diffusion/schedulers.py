"""The samplers by the names that people use; diffusers brings them all."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any

import zoo

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++-karras": (
        "DPMSolverMultistepScheduler",
        {
            "algorithm_type": "dpmsolver++",
            "use_karras_sigmas": True,
            "use_exponential_sigmas": False,
            "use_beta_sigmas": False,
            "use_lu_lambdas": False,
        },
    ),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}

OWN = (
    *sorted({kind for kind, _ in SCHEDULERS.values()}),
    "DDIMParallelScheduler",
    "DDPMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EDMEulerScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "SASolverScheduler",
    "TCDScheduler",
)
"""The classes of diffusers that a source's own sampler may be of."""

OUTDATED: dict[str, tuple[Any, ...]] = {
    "predict_epsilon": (None, True),
    "tensor_format": (None, "pt", "np"),
    "timestep_values": (None,),
}
"""Keys of 2022 that no class of diffusers reads any more, and the values at which they are idle."""

TRAINED = ("prediction_type", "rescale_betas_zero_snr", "sigma_data")
"""Keys that say how a model was trained: a sampler that ignores them generates something else."""

INSTEAD = (999, 500, 100, 50, 20, 4)
"""Numbers of steps to offer instead of one that a sampler cannot take."""


class Schedule:
    """The samplers of a source.

    Args:
        config: of the source's own, its `_class_name` among the keys.
        corrections: keys that the source's pipeline sets whatever the config says, where the class
            of a sampler has them.

    Raises:
        IntegrityError: the source's own sampler is not known, or its config is not understood.
    """

    def __init__(self, config: Mapping[str, Any], corrections: Mapping[str, Any] = {}) -> None:
        self.corrections = dict(corrections)
        self._tried: dict[tuple[str | None, int, float | None], str | None] = {}
        self.kind = str(config.get("_class_name"))
        if self.kind not in OWN:
            raise zoo.IntegrityError(
                f"the scheduler of the source, '{self.kind}', is not supported",
                f"supported: {', '.join(OWN)}",
            )
        _require_known(config, self.kind)
        try:
            self.own = self._corrected(_class(self.kind).from_config(dict(config)))
        except Exception as error:  # of many kinds, as the classes check their options
            raise zoo.IntegrityError(
                f"{self.kind} does not take the source's scheduler_config.json: {said(error)}"
            ) from error

    def make(self, name: str | None = None) -> Any:
        """A scheduler of diffusers.

        As `from_config` makes it of the source's own, with one difference: latents are clipped
        only where the source says so. Schedulers made for pixels clip them to -1 to 1 by default.

        Args:
            name: one of `SCHEDULERS`, or `None` for the source's own.

        Raises:
            InputError: there is no such scheduler, or it is not for what the source was trained on.
        """
        own = self.own.config
        if name is None:
            return self._corrected(type(self.own).from_config(own))
        if name not in SCHEDULERS:
            close = get_close_matches(name, SCHEDULERS, n=1)
            meant = f", did you mean '{close[0]}'?" if close else ""
            raise zoo.InputError(
                f"unknown scheduler '{name}'{meant}", f"schedulers: {', '.join(SCHEDULERS)}"
            )
        kind, changes = SCHEDULERS[name]
        made = _class(kind)
        takes = signature(made.__init__).parameters
        if "clip_sample" in takes:
            changes = {"clip_sample": bool(own.get("clip_sample", False)), **changes}
        for key in TRAINED:
            plain = takes[key].default if key in takes else None
            if key not in takes and own.get(key) not in (None, False, "epsilon", plain):
                raise zoo.InputError(
                    f"the scheduler '{name}' cannot be used with this model, which was trained "
                    f"with {key} = {own[key]!r}",
                    "leave the scheduler out, for the model's own",
                )
        try:
            return self._corrected(made.from_config(own, **changes))
        except Exception as error:
            raise zoo.InputError(
                f"the scheduler '{name}' cannot be used with this model: {said(error)}",
                "leave the scheduler out, for the model's own",
            ) from error

    def plan(self, name: str | None, steps: int, strength: float | None = None) -> tuple[Any, Any]:
        """A scheduler that is set to so many steps, and the times of the steps.

        It is tried first, with one number for a picture: some samplers have fewer steps than the
        noise that a model was trained with, and fail half-way or end in no number at all.

        Args:
            name: as for `make`.
            steps: of the whole way from noise to picture.
            strength: the share of the way that is gone, above 0 and at most 1; `None` where it
                begins with noise alone.

        Raises:
            InputError: there is no such scheduler, or it has not so many steps.
        """
        if (fault := self._fault(name, steps, strength)) is not None:
            kind = type(self.make(name)).__name__.removesuffix("Scheduler")
            nearest = sorted(INSTEAD, key=lambda number: abs(number - steps))
            fits = [n for n in nearest if n != steps and self._fault(name, n, strength) is None]
            raise zoo.InputError(
                f"the scheduler {kind} cannot run in {steps} steps with this model: {fault}",
                f"{fits[0]} steps work" if fits else "choose another scheduler",
            )
        return _set(self.make(name), steps, strength)

    def _fault(self, name: str | None, steps: int, strength: float | None) -> str | None:
        """Why a scheduler cannot take so many steps; `None` where it can."""
        key = name, steps, strength
        if key not in self._tried:
            self._tried[key] = _fault(self.make(name), steps, strength)
        return self._tried[key]

    def _corrected(self, scheduler: Any) -> Any:
        for key, value in self.corrections.items():
            if scheduler.config.get(key, value) != value:
                scheduler.register_to_config(**{key: value})
        return scheduler


def make_scheduler(name: str | None, own: str, config: dict[str, Any]) -> Any:
    """A scheduler by its name, or the source's own; see `Schedule.make`.

    Args:
        name: one of `SCHEDULERS`, or `None` for the source's own.
        own: the class of the source's own.
        config: that of the source: the noise it was trained with.
    """
    return Schedule({**config, "_class_name": own}).make(name)


def _set(scheduler: Any, steps: int, strength: float | None) -> tuple[Any, Any]:
    scheduler.set_timesteps(steps)
    if strength is None:
        return scheduler, scheduler.timesteps
    skipped = (steps - max(1, int(steps * strength))) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    return scheduler, scheduler.timesteps[skipped:]


def _fault(scheduler: Any, steps: int, strength: float | None) -> str | None:
    import torch

    seeds = [torch.Generator().manual_seed(0)]
    try:
        scheduler, times = _set(scheduler, steps, strength)
        one = torch.full((1, 1, 1, 1), 0.5)
        latents = one * scheduler.init_noise_sigma
        if strength is not None:
            latents = scheduler.add_noise(one, one, times[:1])
        for time in times:
            seen = scheduler.scale_model_input(latents, time)
            latents = step(scheduler, seen / 2, time, latents, seeds)
    except IndexError:
        return f"they go beyond the {scheduler.config.num_train_timesteps} that it was trained with"
    except Exception as error:  # whatever a sampler runs into
        return said(error)
    if not len(times):
        return "none of them is left"
    return None if bool(torch.isfinite(latents).all()) else "it ends in numbers that are not finite"


def step(scheduler: Any, found: Any, time: Any, latents: Any, seeds: list[Any]) -> Any:
    """The latents after a step, float32, as the pipelines of diffusers take it.

    Args:
        scheduler: of diffusers, set to its steps.
        found: what the U-Net finds in the latents.
        time: of the step.
        latents: before it.
        seeds: the generators of the pictures, for a scheduler that adds noise.
    """
    takes = signature(scheduler.step).parameters
    more: dict[str, Any] = {"generator": seeds} if "generator" in takes else {}
    if "eta" in takes:
        more["eta"] = 0.0
    return scheduler.step(found, time, latents, return_dict=False, **more)[0].float()


def _class(kind: str) -> Any:
    return getattr(import_module("diffusers"), kind)


def _require_known(config: Mapping[str, Any], kind: str) -> None:
    """Refuse keys that no scheduler of diffusers reads: what they ask for would not be done."""
    known = {key for each in OWN for key in signature(_class(each).__init__).parameters}
    for key, value in config.items():
        if key in known or key.startswith("_"):
            continue
        if value not in OUTDATED.get(key, ()):
            hint = None
            if key == "predict_epsilon":
                hint = 'today this is prediction_type = "sample"'
            raise zoo.IntegrityError(
                f"the source's scheduler_config.json has {key} = {value!r}, which {kind} of "
                "diffusers does not read",
                hint,
            )


def said(error: BaseException) -> str:
    """What an error says, on one line and no longer than a sentence."""
    text = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."
