"""The format `coreml` as data: its passes, and what a build takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from zoo.catalogs.formats import STORED_BITS, Format, Weights
from zoo.catalogs.recipe import Build, Recipe
from zoo.formats.coreml.compress.passes import LEDGER_FILE, PER_BLOCK, pass_faults, target_of
from zoo.formats.coreml.lint.targets import TARGETS

FLOAT16_SCALE = 16

TABLE_BITS = (8, 16)
"""Bits of embeddings that an app looks up itself."""


SPEC_FILE = "decoder.json"
"""The description of a language model, which zoo reads when it runs a build in Python."""

PACKAGE = ".mlpackage"
PIPELINE = {
    "text_encoder": "TextEncoder",
    "text_encoder_2": "TextEncoder2",
    "unet": "Unet",
    "unet_chunk1": "UnetChunk1",
    "unet_chunk2": "UnetChunk2",
    "vae_decoder": "VAEDecoder",
    "vae_encoder": "VAEEncoder",
    "safety_checker": "SafetyChecker",
}
"""The components of Stable Diffusion, and what ml-stable-diffusion's Swift pipeline calls them."""

CLIP_FILES = ("vocab.json", "merges.txt")
"""What that pipeline reads of the tokenizer."""

PACKAGE_NOTES = """Add the packages of `Resources` to the app target: Xcode compiles them to
`.mlmodelc` and generates a class for each. Add the other files as resources. zoo's guide
`docs/how-to/core-ml-in-swift.md` has Swift code that calls the model."""

PIPELINE_NOTES = """Compile the packages, and give the folder to the pipeline of
[ml-stable-diffusion](https://github.com/apple/ml-stable-diffusion):

```
cd Resources && for package in *.mlpackage; do xcrun coremlcompiler compile $package .; done
```

```swift
import StableDiffusion

let pipeline = try StableDiffusionPipeline(resourcesAt: resources, controlNet: [])
try pipeline.loadResources()
let images = try pipeline.generateImages(configuration: .init(prompt: "a red fox in snow"))
```

The pipeline reads `vocab.json` and `merges.txt`, which a source with a `tokenizer.json` alone does
not have."""


class CoreML(Format):
    """Apple's Core ML: float16, or compressed by passes."""

    rank, apple_rank = 30, 20
    reports_cost = True
    packages = (".mlpackage", ".mlmodelc", ".mlmodel")
    ledger = LEDGER_FILE
    lint_targets = tuple(TARGETS)
    reserved_names = ("main",)

    def serves(self, family: str) -> bool:
        """Families alone know how their models run in this format."""
        return False

    def faults(self, recipe: Recipe, build: Build) -> Iterator[tuple[str, str]]:
        yield from pass_faults(recipe, build)
        if recipe.task == "text-generation" and target_of(build) == "neural-engine":
            for number, step in enumerate(build.optimize):
                if step.options.get("embeddings") not in (None, *TABLE_BITS):
                    yield f"optimize[{number}].embeddings", "must be 8 or 16 for the Neural Engine"

    def lint_target(self, recipe: Recipe, build: Build) -> str:
        """A language model with flexible shapes and a state is for GPU and CPU."""
        if target_of(build) == "neural-engine":
            return "iphone-neural-engine"
        return "gpu" if recipe.task == "text-generation" else "any"

    def lint_rules(self) -> Collection[str]:
        from zoo.formats.coreml.lint.rules import BY_ID

        return BY_ID

    def shares_conversion(self, recipe: Recipe, build: Build) -> bool:
        """Of all but language models, which are compressed while they are written."""
        return recipe.task != "text-generation"

    def app_files(self, recipe: Recipe, paths: Collection[str]) -> dict[str, str]:
        """The packages and what a tokenizer needs; for images by the names of Apple's pipeline."""
        shipped = [path for path in paths if path not in (SPEC_FILE, LEDGER_FILE)]
        if recipe.task != "text-to-image":
            return {path: path for path in shipped}
        names = {}
        for path in shipped:
            first, _, rest = path.partition("/")
            if first.endswith(PACKAGE):
                names[path] = f"{PIPELINE.get(first.removesuffix(PACKAGE), first)}{PACKAGE}/{rest}"
        vocabulary = {path: path for path in shipped if path.startswith("tokenizer/")}
        if {f"tokenizer/{name}" for name in CLIP_FILES} <= vocabulary.keys():
            vocabulary = {f"tokenizer/{name}": name for name in CLIP_FILES}
        return names | vocabulary

    def app_notes(self, recipe: Recipe) -> str:
        return PIPELINE_NOTES if recipe.task == "text-to-image" else PACKAGE_NOTES

    def bits_per_weight(self, build: Build) -> float:
        """Of large matrices: bits of their own for some weights are not counted, nor are tables.

        An option that is no number counts as not given.
        """
        bits, scales, kept, mask = float(STORED_BITS), 0.0, 1.0, 0
        for step in build.optimize:
            options = {k: v for k, v in step.options.items() if isinstance(v, int | float)}
            match step.kind:
                case "mixed":
                    return float(options.get("bits_per_weight", bits))
                case "prune":
                    kept, mask = 1 - _zeros(step.options.get("n_of_m"), options), 1
                case "palettize":
                    bits = float(options.get("bits", 4))
                case "quantize":
                    bits = float(options.get("bits", 4))
                    per_block = bits == 4 and target_of(build) == "gpu"
                    block = options.get("block_size", PER_BLOCK if per_block else 0)
                    scales = FLOAT16_SCALE / block if block else 0.0
        return bits * kept + scales + mask

    def disk_bytes(self, weights: Weights, build: Build) -> int:
        """Bytes of the package; without passes it has every weight in float16."""
        bits = build.bits if build.bits is not None else self.bits_per_weight(build)
        return int(weights.count * bits / 8)


def _zeros(n_of_m: Any, options: Mapping[str, float]) -> float:
    match n_of_m:
        case [int(zeros), int(of)] if of:
            return zeros / of
    return options.get("sparsity", 0.0)


DESCRIPTION = CoreML()
