"""Choose the bits of each weight of a saved package, judged by whoever knows what it is for."""

from __future__ import annotations

from math import prod

from zoo.formats.coreml.compress.encoding import FULL, Scheme
from zoo.formats.coreml.compress.passes import Palettize, Target
from zoo.formats.coreml.compress.rewrite import SMALLEST
from zoo.formats.coreml.compress.trials import ROUNDS, Candidate, Choice, Loss, choose
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.package.proto import width
from zoo.formats.coreml.package.weights import Weight, weights_of
from zoo.progress import Progress

CHOICES = (2, 3, 4, 6, 8)


def choose_for_package(
    constants: Constants,
    loss: Loss,
    progress: Progress,
    *,
    bits_per_weight: float,
    choices: tuple[int, ...] = CHOICES,
    group_size: int | None = None,
    target: Target = "gpu",
    smallest: int = SMALLEST,
    rounds: int = ROUNDS,
    part: str = "",
) -> tuple[Palettize, Choice]:
    """The palettes with the least loss, within a budget.

    Every weight is stored in every number of bits in turn, and the model is run each time:

        constants = Constants(Package(path))
        program = ReferenceProgram(path, constants=constants, mode="fp32")
        wanted = [program.predict(x)["noise"] for x in inputs]

        def loss() -> float:
            found = [program.predict(x)["noise"] for x in inputs]
            return float(np.mean([((f - w) ** 2).mean() for f, w in zip(found, wanted)]))

        store, choice = choose_for_package(constants, loss, progress, bits_per_weight=4.5)
        compress_package(path, out, Passes(store))

    Args:
        constants: of the package; the program that `loss` runs was opened with them.
        loss: runs the program and judges what comes out at the end: 0 when nothing is lost. A
            threshold on one layer at a time says little about all of them together.
        progress: receives the trials.
        bits_per_weight: most bits of each weight on disk, on average over all of the package.
        choices: the numbers of bits to choose from.
        group_size, target: as for `Palettize`.
        smallest: weights with fewer entries stay as they are, as in `compress_package`.
        rounds: of exchanges between weights, at most; 0 where the loss at a few inputs says no more
            of all weights together than of each alone.
        part: as for `compress_package`.

    Returns: the pass with the option `layers`, for `Passes`, and what was measured. The constants
    are left as they would be stored.

    Raises:
        RecipeError: even the fewest bits are more than the budget.
    """
    stored = Palettize(group_size=group_size, target=target)
    in_use = constants.of(constants.package.function()[1])
    candidates: dict[str, Candidate] = {}
    total = rest = 0
    for weight in weights_of(constants.package).values():
        count = prod(weight.shape)
        total += count
        schemes = _schemes(weight, stored, choices)
        if weight.name not in in_use or count < smallest or not schemes:
            rest += count * width(weight.type_name)
            continue
        name = f"{part}/{weight.name}" if part else weight.name
        candidates[name] = Candidate(in_use[weight.name], schemes, weight.axes)
    choice = choose(
        candidates,
        int(bits_per_weight * total) - rest,
        loss,
        lambda done, trials: progress.update(done, trials, "trials"),
        rounds,
    )
    layers = {"*": FULL, **choice.bits}  # what is no candidate stays
    return Palettize(group_size=group_size, target=target, layers=layers), choice


def _schemes(weight: Weight, stored: Palettize, choices: tuple[int, ...]) -> dict[int, Scheme]:
    """The palettes that a weight can be stored as; none for what is no weight of a layer."""
    if weight.obstacle:
        return {}
    schemes = {bits: stored.stored(bits) for bits in choices}
    return {bits: scheme for bits, scheme in schemes.items() if not scheme.obstacle(weight.turned)}
