"""Devices, and the memory that an app may take on each: data with sources, in `devices.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zoo.errors import UsageError
from zoo.files.documents import parse_toml
from zoo.words import read_bytes, suggest

TABLE = Path(__file__).with_name("devices.toml")


@dataclass(frozen=True)
class Device:
    """What a model has to fit into, in bytes.

    Attributes:
        name: such as `iphone-15-pro`.
        memory: of the device.
        app: what one app may take.
        entitled: the same with the entitlement for more memory; `None` where there is none.
        source: where the limits were reported.
        estimated: whether the limits are shares of the memory, and not reported for the device.
    """

    name: str
    memory: int
    app: int
    entitled: int | None = None
    source: str = ""
    estimated: bool = False

    @property
    def most(self) -> int:
        """The most that an app can have."""
        return self.entitled or self.app

    @property
    def phone(self) -> bool:
        """Whether iOS or iPadOS runs it, which has limits for apps and for packages."""
        return self.name.startswith(("iphone", "ipad"))


@cache
def devices() -> dict[str, Device]:
    """All devices of the table by name."""
    found = {}
    for each in parse_toml(TABLE.read_text(encoding="utf-8"))["class"]:
        memory, app, entitled = (read_bytes(each[key]) for key in ("memory", "app", "entitled"))
        for name in each["devices"]:
            found[name] = Device(
                name, memory, app, entitled, each["source"], each.get("estimated", False)
            )
    return found


def find_device(name: str) -> Device:
    """The device of a name.

    Raises:
        UsageError: there is none, with the nearest name.
    """
    if name not in devices():
        known = f"devices: {', '.join(devices())}"
        raise UsageError(
            f"'{name}' is not a known device{suggest(name, devices())}",
            f"{known}; for another one give --memory, such as 8GB",
            in_python=f"{known}; for another one make a zoo.reports.devices.Device",
        )
    return devices()[name]
