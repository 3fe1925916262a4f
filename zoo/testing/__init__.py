"""Helpers for the tests of plugins.

- Contracts, tests to inherit from: `FamilyContract`, `FormatContract`, `TaskContract`.
- Checkpoints: `tiny` makes one with random weights, `write_tokenizer` a tokenizer for your own.
- A Hub: `LoopbackHub` serves folders, and injects a `Fault` on request.
- Plugins: `install_plugin` writes a distribution as pip would.

pytest loads the fixtures `zoo_home`, `zoo_catalog`, `zoo_hub` and `zoo_distribution`. All other
modules are private. Names are imported at their first use.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.testing.checkpoints.text import write_tokenizer as write_tokenizer
    from zoo.testing.checkpoints.tiny import tiny as tiny
    from zoo.testing.contract.suites import FamilyContract as FamilyContract
    from zoo.testing.contract.suites import FormatContract as FormatContract
    from zoo.testing.contract.suites import TaskContract as TaskContract
    from zoo.testing.loopback_hub import Fault as Fault
    from zoo.testing.loopback_hub import LoopbackHub as LoopbackHub
    from zoo.testing.plugins import install_plugin as install_plugin
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "FamilyContract": "zoo.testing.contract.suites",
            "Fault": "zoo.testing.loopback_hub",
            "FormatContract": "zoo.testing.contract.suites",
            "LoopbackHub": "zoo.testing.loopback_hub",
            "TaskContract": "zoo.testing.contract.suites",
            "install_plugin": "zoo.testing.plugins",
            "tiny": "zoo.testing.checkpoints.tiny",
            "write_tokenizer": "zoo.testing.checkpoints.text",
        },
    )

__all__ = [
    "FamilyContract",
    "Fault",
    "FormatContract",
    "LoopbackHub",
    "TaskContract",
    "install_plugin",
    "tiny",
    "write_tokenizer",
]
