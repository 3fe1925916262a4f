"""The format `npz` as data: its one pass, `round`."""

from collections.abc import Iterator

import zoo
from zoo.formats import Format


class Npz(Format):
    rank, apple_rank = 60, 60
    writes_adapters = False

    def faults(self, recipe: zoo.Recipe, build: zoo.Build) -> Iterator[tuple[str, str]]:
        for number, step in enumerate(build.optimize):
            if step.kind != "round":
                yield f"optimize[{number}].kind", f"npz has one pass, 'round', not '{step.kind}'"
            elif step.options.get("bits") not in range(2, 9):
                yield f"optimize[{number}].bits", "must be from 2 to 8"

    def serves(self, family: str) -> bool:
        return family != "openelm"


DESCRIPTION = Npz()
