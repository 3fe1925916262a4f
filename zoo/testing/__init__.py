"""For the tests of plugins: a Hub on loopback, and plugins installed for one test."""

from __future__ import annotations

from zoo.testing.loopback_hub import Fault, LoopbackHub
from zoo.testing.plugins import install_plugin

__all__ = ["Fault", "LoopbackHub", "install_plugin"]
