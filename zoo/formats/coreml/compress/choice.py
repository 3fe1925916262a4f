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
    """Choose palettes for the weights of a package with the least loss, within a budget of bits.

    Each weight is stored in each number of bits in turn, and the model is run each time:

        constants = Constants(Package(path))
        program = ReferenceProgram(path, constants=constants, mode="fp32")
        wanted = [program.predict(x)["noise"] for x in inputs]

        def loss() -> float:
            found = [program.predict(x)["noise"] for x in inputs]
            return float(np.mean([((f - w) ** 2).mean() for f, w in zip(found, wanted)]))

        store, choice = choose_for_package(constants, loss, progress, bits_per_weight=4.5)
        compress_package(path, out, Passes(store))

    Args:
        constants: the constants of the package, which the program that `loss` runs uses too.
        loss: runs the program and returns the loss of its final outputs, 0 if nothing is lost.
        progress: receives the number of trials.
        bits_per_weight: largest average of bits per weight on disk, over the whole package.
        choices: numbers of bits to choose from.
        group_size: as for `Palettize`.
        target: as for `Palettize`.
        smallest: weights with fewer elements are not compressed, as in `compress_package`.
        rounds: largest number of rounds in which weights exchange bits; 0 if a loss on few inputs
            cannot tell combinations apart.
        part: as for `compress_package`.

    Returns: the pass with its option `layers`, for `Passes`, and the measured losses. The constants
    hold the compressed weights afterwards.

    Raises:
        RecipeError: even the fewest bits exceed the budget.
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
