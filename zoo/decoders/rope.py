"""Read rotary position embeddings (RoPE) and their scaling from a config.json.

The kinds and their parameters are those of transformers
(https://huggingface.co/docs/transformers/internal/rope_utils).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from zoo.decoders.traits import FULL, SLIDING

KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "dynamic": (("factor",), ()),
    "yarn": (
        ("factor",),
        ("original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow",
         "mscale", "mscale_all_dim", "truncate"),
    ),
    "llama3": (
        ("factor", "low_freq_factor", "high_freq_factor"),
        ("original_max_position_embeddings",),
    ),
    "longrope": (
        ("short_factor", "long_factor"),
        ("factor", "original_max_position_embeddings", "attention_factor"),
    ),
}  # fmt: skip
"""For each kind, the parameters that it needs and those that it may have."""

LISTS = ("short_factor", "long_factor")
LENGTH = "original_max_position_embeddings"
LARGEST = 1e12


@dataclass(frozen=True)
class Rope:
    """Rotary position embeddings (RoPE, https://arxiv.org/abs/2104.09864).

    Attributes:
        theta: base of the frequencies.
        kind: kind of scaling, as named in transformers: `default`, `linear`, `dynamic`, `yarn`,
            `llama3` or `longrope`.
        parameters: parameters of that kind.
    """

    theta: float
    kind: str = "default"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def for_transformers(self) -> dict[str, Any]:
        """Return the value of `rope_parameters` in transformers."""
        return {"rope_type": self.kind, "rope_theta": self.theta, **self.parameters}

    def for_mlx(self) -> dict[str, Any] | None:
        """Return the value of `rope_scaling` in mlx-lm, or `None` without scaling.

        Raises:
            ValueError: mlx-lm does not support the kind or a parameter.
        """
        given = dict(self.parameters)
        if self.kind == "default":
            return None
        if self.kind == "longrope":
            raise ValueError("RoPE scaling 'longrope'")
        if self.kind == "yarn":
            if given.pop("truncate", True) is not True:
                raise ValueError("RoPE scaling 'yarn' with truncate = false")
            if given.get("attention_factor") is not None:
                raise ValueError("RoPE scaling 'yarn' with an attention_factor")
            given.pop("attention_factor", None)
            if not (given.get("mscale") and given.get("mscale_all_dim")):
                given.pop("mscale", None)  # one of them says nothing without the other
                given.pop("mscale_all_dim", None)
        return {"rope_type": self.kind, "type": self.kind, **given}


def read_rope(
    data: Mapping[str, Any],
    head_dim: int,
    positions: int,
    theta: float = 10_000.0,
    *,
    nested: bool = False,
) -> Rope:
    """Read the rotary position embeddings from a config.

    Args:
        data: the config.
        head_dim: width of a head.
        positions: `max_position_embeddings`.
        theta: default base of the frequencies.
        nested: whether `rope_parameters` has a table for each kind of attention, of which that of
            full attention is read.

    Raises:
        ValueError: the kind or a parameter is unknown or out of range.
    """
    given, scaling = _table(data, "rope_parameters"), _table(data, "rope_scaling")
    given = {**_nested(given, FULL), **scaling} if nested else scaling or given
    base = given.pop("rope_theta", None)
    base = data.get("rope_theta") if base is None else base
    base = theta if base is None else _number("rope_theta", base)
    return _rope(given, base, head_dim, positions)


def read_local_rope(
    data: Mapping[str, Any], head_dim: int, positions: int, theta: float | None
) -> Rope | None:
    """The rotary positions of the layers with a window, where they have some of their own.

    Args:
        theta: their base in a config that does not say; `None` where they have none of their own.
        data, head_dim, positions: as for `read_rope`.

    Raises:
        ValueError: as for `read_rope`.
    """
    if theta is None:
        return None
    given = _nested(_table(data, "rope_parameters"), SLIDING)
    base = given.pop("rope_theta", None)
    base = data.get("rope_local_base_freq") if base is None else base
    base = theta if base is None else _number("rope_local_base_freq", base)
    return _rope(given, base, head_dim, positions)


def _nested(tables: dict[str, Any], kind: str) -> dict[str, Any]:
    """The table of one kind of attention."""
    if unknown := [key for key in tables if key not in (FULL, SLIDING)]:
        raise ValueError(
            f"rope_parameters must be tables for '{FULL}' and '{SLIDING}', and has "
            f"{unknown[0][:40]!r}"
        )
    return _table(tables, kind)


def _rope(given: dict[str, Any], theta: float, head_dim: int, positions: int) -> Rope:
    kind, old = given.pop("rope_type", None), given.pop("type", None)
    kind = "default" if kind is old is None else kind or old
    if given.pop("partial_rotary_factor", 1) != 1:
        raise ValueError("partial_rotary_factor other than 1 is not supported")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"RoPE scaling {str(kind)[:40]!r} is not supported")
    needed, optional = KINDS[kind]
    if missing := [key for key in needed if given.get(key) is None]:
        raise ValueError(f"RoPE scaling '{kind}' needs {', '.join(missing)}")
    given = {key: value for key, value in given.items() if value is not None}
    if kind == "dynamic":
        given.pop(LENGTH, None)  # transformers takes max_position_embeddings
    unknown = [key for key in given if key not in needed + optional]
    if unknown and kind != "default":
        raise ValueError(f"RoPE scaling '{kind}' does not take {unknown[0][:40]!r}")
    if unknown:
        raise ValueError(f"the positions have {unknown[0][:40]!r} and no kind of scaling")
    if LENGTH in optional:
        given.setdefault(LENGTH, positions)
    return Rope(theta, kind, {key: _parameter(key, given[key], head_dim) for key in given})


def _table(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{key} must be a table, not {str(value)[:40]!r}")
    return dict(value or {})


def _parameter(key: str, value: Any, head_dim: int) -> Any:
    if key == "truncate":
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, not {str(value)[:40]!r}")
        return value
    if key in LISTS:
        if not isinstance(value, list) or len(value) != head_dim // 2:
            raise ValueError(f"{key} must have {head_dim // 2} numbers")
        return [_number(key, item) for item in value]
    if key == LENGTH:
        if type(value) is not int or not 1 <= value < 2**31:
            raise ValueError(f"{key} must be a whole number above 0, not {str(value)[:40]!r}")
        return value
    return _number(key, value, least=1 if key == "factor" else 0)


def _number(key: str, value: Any, least: float = 0) -> float:
    good = type(value) in (int, float) and isfinite(value) and 0 < value < LARGEST
    if not good or value < least:
        wanted = f"a number of {least} or more" if least else "a number above 0"
        raise ValueError(f"{key} must be {wanted}, not {str(value)[:40]!r}")
    return float(value)
