"""The format `coreml`: what a family may use to write, compress and run `.mlpackage`s.

- Language models, straight from their safetensors: `convert_decoder` with a `DecoderSpec`, and
  `CoreMLTextModel` to run what it wrote.
- What a package says of itself, such as the compute units to ask for: `about`.
- Other models, by tracing a PyTorch module: `write_traced` with an `Input` for each argument;
  `add_branches` for LoRA adapters, `split_package` for phones.
- Running: `open_program` and `open_functions`, by Core ML on a Mac, by PyTorch elsewhere.
- Passes: `read_passes` and `compress_folder`; `choose_for_package` for bits by measured loss.
- Reading a package: `Package`, `weights_of`, `package_cost`.

These names are imported at their first use. The modules below are private.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.coreml.compress.choice import choose_for_package as choose_for_package
    from zoo.formats.coreml.compress.encoding import Scheme as Scheme
    from zoo.formats.coreml.compress.folder import compress_folder as compress_folder
    from zoo.formats.coreml.compress.passes import FULL as FULL
    from zoo.formats.coreml.compress.passes import PALETTE_BITS as PALETTE_BITS
    from zoo.formats.coreml.compress.passes import Mixed as Mixed
    from zoo.formats.coreml.compress.passes import Palettize as Palettize
    from zoo.formats.coreml.compress.passes import Passes as Passes
    from zoo.formats.coreml.compress.passes import Prune as Prune
    from zoo.formats.coreml.compress.passes import Quantize as Quantize
    from zoo.formats.coreml.compress.passes import read_passes as read_passes
    from zoo.formats.coreml.compress.rewrite import compress_package as compress_package
    from zoo.formats.coreml.compress.trials import Choice as Choice
    from zoo.formats.coreml.compress.trials import Loss as Loss
    from zoo.formats.coreml.convert.about import ComputeUnits as ComputeUnits
    from zoo.formats.coreml.convert.about import about as about
    from zoo.formats.coreml.convert.branches import add_branches as add_branches
    from zoo.formats.coreml.convert.branches import is_branch as is_branch
    from zoo.formats.coreml.convert.chunks import split_package as split_package
    from zoo.formats.coreml.convert.streaming import Metadata as Metadata
    from zoo.formats.coreml.convert.traced import Axis as Axis
    from zoo.formats.coreml.convert.traced import Input as Input
    from zoo.formats.coreml.convert.traced import write_traced as write_traced
    from zoo.formats.coreml.cost import fixed_inputs as fixed_inputs
    from zoo.formats.coreml.cost import package_cost as package_cost
    from zoo.formats.coreml.execute.chain import open_functions as open_functions
    from zoo.formats.coreml.execute.constants import Constants as Constants
    from zoo.formats.coreml.execute.program import Mode as Mode
    from zoo.formats.coreml.execute.program import Program as Program
    from zoo.formats.coreml.execute.program import ReferenceProgram as ReferenceProgram
    from zoo.formats.coreml.execute.program import open_program as open_program
    from zoo.formats.coreml.language.convert import convert_decoder as convert_decoder
    from zoo.formats.coreml.language.mask import MASKED as MASKED
    from zoo.formats.coreml.language.mask import causal_mask as causal_mask
    from zoo.formats.coreml.language.model import CoreMLTextModel as CoreMLTextModel
    from zoo.formats.coreml.language.spec import DecoderSpec as DecoderSpec
    from zoo.formats.coreml.language.spec import LayerSpec as LayerSpec
    from zoo.formats.coreml.language.spec import TensorNames as TensorNames
    from zoo.formats.coreml.package.reader import Package as Package
    from zoo.formats.coreml.package.weights import Role as Role
    from zoo.formats.coreml.package.weights import Weight as Weight
    from zoo.formats.coreml.package.weights import weights_of as weights_of
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Axis": "zoo.formats.coreml.convert.traced",
            "Choice": "zoo.formats.coreml.compress.trials",
            "ComputeUnits": "zoo.formats.coreml.convert.about",
            "Constants": "zoo.formats.coreml.execute.constants",
            "CoreMLTextModel": "zoo.formats.coreml.language.model",
            "DecoderSpec": "zoo.formats.coreml.language.spec",
            "FULL": "zoo.formats.coreml.compress.passes",
            "Input": "zoo.formats.coreml.convert.traced",
            "LayerSpec": "zoo.formats.coreml.language.spec",
            "Loss": "zoo.formats.coreml.compress.trials",
            "MASKED": "zoo.formats.coreml.language.mask",
            "Metadata": "zoo.formats.coreml.convert.streaming",
            "Mixed": "zoo.formats.coreml.compress.passes",
            "Mode": "zoo.formats.coreml.execute.program",
            "PALETTE_BITS": "zoo.formats.coreml.compress.passes",
            "Package": "zoo.formats.coreml.package.reader",
            "Palettize": "zoo.formats.coreml.compress.passes",
            "Passes": "zoo.formats.coreml.compress.passes",
            "Program": "zoo.formats.coreml.execute.program",
            "Prune": "zoo.formats.coreml.compress.passes",
            "Quantize": "zoo.formats.coreml.compress.passes",
            "ReferenceProgram": "zoo.formats.coreml.execute.program",
            "Role": "zoo.formats.coreml.package.weights",
            "Scheme": "zoo.formats.coreml.compress.encoding",
            "TensorNames": "zoo.formats.coreml.language.spec",
            "Weight": "zoo.formats.coreml.package.weights",
            "about": "zoo.formats.coreml.convert.about",
            "add_branches": "zoo.formats.coreml.convert.branches",
            "causal_mask": "zoo.formats.coreml.language.mask",
            "choose_for_package": "zoo.formats.coreml.compress.choice",
            "compress_folder": "zoo.formats.coreml.compress.folder",
            "compress_package": "zoo.formats.coreml.compress.rewrite",
            "convert_decoder": "zoo.formats.coreml.language.convert",
            "fixed_inputs": "zoo.formats.coreml.cost",
            "is_branch": "zoo.formats.coreml.convert.branches",
            "open_functions": "zoo.formats.coreml.execute.chain",
            "open_program": "zoo.formats.coreml.execute.program",
            "package_cost": "zoo.formats.coreml.cost",
            "read_passes": "zoo.formats.coreml.compress.passes",
            "split_package": "zoo.formats.coreml.convert.chunks",
            "weights_of": "zoo.formats.coreml.package.weights",
            "write_traced": "zoo.formats.coreml.convert.traced",
        },
    )

__all__ = [
    "FULL",
    "MASKED",
    "PALETTE_BITS",
    "Axis",
    "Choice",
    "ComputeUnits",
    "Constants",
    "CoreMLTextModel",
    "DecoderSpec",
    "Input",
    "LayerSpec",
    "Loss",
    "Metadata",
    "Mixed",
    "Mode",
    "Package",
    "Palettize",
    "Passes",
    "Program",
    "Prune",
    "Quantize",
    "ReferenceProgram",
    "Role",
    "Scheme",
    "TensorNames",
    "Weight",
    "about",
    "add_branches",
    "causal_mask",
    "choose_for_package",
    "compress_folder",
    "compress_package",
    "convert_decoder",
    "fixed_inputs",
    "is_branch",
    "open_functions",
    "open_program",
    "package_cost",
    "read_passes",
    "split_package",
    "weights_of",
    "write_traced",
]
