"""For the tests of plugins: contracts, a Hub on loopback, and plugins installed for one test.

- Contracts, to be inherited from: `FamilyContract`, `FormatContract`, `TaskContract`.
- Checkpoints: `tiny`, with random weights, and `write_tokenizer` for one of your own.
- The Hub: `LoopbackHub`, which serves folders and fails in a `Fault`'s way when it is asked to.
- Plugins: `install_plugin` writes a distribution as pip would.

With pytest come the fixtures `zoo_home`, `zoo_catalog`, `zoo_hub` and `zoo_distribution`. These
names are imported at their first use. The modules below are private.
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
