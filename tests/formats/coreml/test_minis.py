"""The miniatures by Core ML, from outside: the same text, checks that pass, damage that does not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coremltools.models.utils import load_spec
from families.mistral.test_mistral import add_mini
from worlds.coreml_builds import make_build, package_of

import zoo_mistral.coreml
import zoo_openelm.coreml
from zoo.catalogs.recipe import read_recipe
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.language.spec import read_spec
from zoo.formats.coreml.package.proto import MODEL_FILE, WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package
from zoo.pipeline import checks
from zoo.tasks import verdict
from zoo.tasks.text.task import TASK
from zoo_mistral.torch import MistralTextModel
from zoo_openelm.coreml import OpenELMCoreMLTextModel
from zoo_openelm.torch import OpenELMTextModel

RECIPES = Path(__file__).parents[3] / "recipes"
FAMILIES = {
    "mistral": (zoo_mistral.coreml, MistralTextModel, CoreMLTextModel),
    "openelm": (zoo_openelm.coreml, OpenELMTextModel, OpenELMCoreMLTextModel),
}
BUILDS = {
    "coreml-fp16": 16.0,
    "coreml-int4": 5.5,
    "coreml-palettized": 5.5,
    "coreml-mixed": 4.5,
    "coreml-ane": 7.6,
}
"""The builds of a miniature, and what their weights take at most, in bits."""
LONG = {
    *(("mistral", f"coreml-{build}") for build in ("mixed", "palettized")),
    *(("openelm", f"coreml-{build}") for build in ("mixed", "int4", "palettized", "ane")),
}
EACH = [
    pytest.param(family, build, marks=pytest.mark.long if (family, build) in LONG else ())
    for family in FAMILIES
    for build in BUILDS
]


@pytest.mark.parametrize("family", FAMILIES)
def test_coreml_writes_what_torch_writes(built, family):
    texts = {
        format: built.zoo(
            "run", f"{family}:mini", "Once upon a time", "--format", format, "--max-tokens", "10"
        )
        for format in ("torch", "coreml")
    }
    assert texts["coreml"].returncode == 0, texts["coreml"].stderr
    assert texts["coreml"].stdout == texts["torch"].stdout
    assert len(texts["torch"].stdout.split()) > 5


@pytest.mark.parametrize(("family", "build"), EACH)
def test_the_check_passes_and_its_figures_are_stored(built, family, build):
    done = built.zoo("check", f"{family}:mini/{build}", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["status"] == "passed"
    assert verdict["metrics"]["positions"] == 1024
    assert verdict["tools"]["coremltools"].startswith("9.")
    (folder,) = (p for p in built.artifacts() if f"{family}-mini-{build}" in p.name)
    stored = json.loads((folder / "manifest.json").read_text())
    assert stored["check"]["metrics"] == verdict["metrics"]
    written = {
        f"zoo.check.{name.replace(':', '.')}": f"{value:.4g}"
        for name, value in verdict["metrics"].items()
    }
    packages = [*folder.rglob("*.mlpackage")]
    assert packages
    for package in packages:
        said = load_spec(str(package)).description.metadata.userDefined
        assert written.items() <= dict(said).items()
    lint = stored["check"]["lint"]
    engine = build == "coreml-ane"
    target = "iphone-neural-engine" if engine else "gpu"
    assert (lint["target"], lint["failed"]) == (target, [])
    found = {finding["id"] for finding in lint["findings"]} - {"N12"}
    assert found == (set() if engine else {"L22", "L26"})


def test_an_adapter_is_chosen_by_name(built):
    said = {
        (format, adapter): built.zoo(
            "run", "mistral:mini", "Once upon a time", "--format", format, "--max-tokens", "40",
            "--no-check", *(("--adapter", adapter) if adapter else ()),
        ).stdout
        for format in ("torch", "mlx", "coreml")
        for adapter in ("pirate", None)
    }  # fmt: skip
    for format in ("torch", "mlx", "coreml"):
        assert said[format, "pirate"].split()[:6] == said["torch", "pirate"].split()[:6]
        assert " wee " in said[format, "pirate"]
        assert " wee " not in said[format, None]


@pytest.mark.parametrize("format", ["torch", "mlx", "coreml"])
@pytest.mark.usefixtures("warm")
def test_an_adapter_of_another_model_is_refused(sandbox, format):
    pirate = str(RECIPES / "mistral" / "mini-pirate")
    done = sandbox.zoo("run", "openelm:mini", "hi", "--format", format, "--adapter", pirate)
    assert done.returncode == 5
    assert "is for another model: it changes 'model.layers.0.mlp.down_proj.weight'" in done.stderr
    assert "it was made for 'mistral:mini'" in done.stderr
    assert not [path for path in sandbox.artifacts() if "coreml" in path.name]


@pytest.mark.parametrize(("family", "build"), EACH)
def test_the_size_on_disk_is_the_size_predicted(built, family, build):
    shown = json.loads(built.zoo("show", f"{family}:mini", "--json").stdout)
    (told,) = (b for b in shown["builds"] if b["name"] == build)
    folder = Path(built.zoo("build", f"{family}:mini/{build}").stdout.strip())
    files = [*folder.rglob(WEIGHT_FILE.name), *folder.glob("embeddings.safetensors")]
    weights = sum(path.stat().st_size for path in files)
    assert told["bits_per_weight"] <= BUILDS[build]
    positions = 2 * (1024 + 256 + 64) if build == "coreml-ane" else 4 * 1024
    tables = positions * read_spec(folder).head_dim
    adapters = sum(p.stat().st_size for p in (RECIPES / family).glob("mini-*/*.safetensors"))
    assert weights - tables - adapters == pytest.approx(
        shown["parameters"] * told["bits_per_weight"] / 8, rel=0.02
    )


@pytest.mark.long
def test_show_tells_how_the_weights_of_a_build_are_stored(built):
    name = "mistral:mini/coreml-mixed"
    built.zoo("build", name)
    builds = json.loads(built.zoo("show", name, "--json").stdout)["builds"]
    told = {build["name"]: build["compression"] for build in builds}
    ledger = told.pop("coreml-mixed")
    assert set(told.values()) == {None}, "only of the build that is asked for"
    assert ledger["bits_per_weight"] <= 4.5
    assert set(ledger["layers"]) < set(ledger["entries"])
    assert ledger["figures"]["loss"] <= ledger["figures"]["loss_before_exchanges"]
    text = built.zoo("show", name).stdout
    assert "palettes of 4 bits, groups of 16" in text
    (line,) = (line for line in text.splitlines() if line.startswith("bits per weight"))
    assert line.split()[-1] == f"{ledger['bits_per_weight']:.2f}"


@pytest.fixture(scope="module", params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=["coreml-fp16", "coreml-int4"])
def made(request, family, tmp_path_factory):
    """A build of a miniature, and how to judge it, by its recipe's own limits."""
    recipe = read_recipe(RECIPES / family / "mini.toml")
    plugin, torch_model, coreml_model = FAMILIES[family]
    passes = [{"kind": s.kind, **s.options} for s in recipe.build[request.param].optimize]
    folder = make_build(plugin, RECIPES / family / "mini", tmp_path_factory.mktemp(family), *passes)
    limits = checks.limits_of(recipe, recipe.build[request.param])
    source = recipe.home / "mini"

    def judge(build: Path) -> verdict.Verdict:
        measured = checks.measure(
            replace(recipe, adapter={}),
            lambda: torch_model.load(source, context=None),
            lambda: coreml_model.load(build),
        )
        return verdict.judge(TASK, measured.figures, limits, {})

    return folder, judge


def flip_a_block(build: Path) -> None:
    """Invert the bits of 16 KB of one layer's largest matrix."""
    package = Package(package_of(build))
    _, block = package.function()
    blobs = {}
    for operation in block.operations:
        inputs = [b.value for given in operation.inputs.values() for b in given.arguments]
        for value in (*inputs, operation.attributes["val"]):
            if value.WhichOneof("value") == "blobFileValue" and "layers_5_" in str(
                operation.outputs
            ):
                shape = [d.constant.size for d in value.type.tensorType.dimensions]
                blobs[value.blobFileValue.offset] = int(np.prod(shape))
    offset = max(blobs, key=blobs.__getitem__)
    weights = package_of(build) / WEIGHT_FILE
    data = np.fromfile(weights, np.uint8)
    start = int(data[offset + 16 : offset + 24].view("<u8")[0])
    data[start : start + 16384] ^= 255
    data.tofile(weights)


def change_operations(build: Path, change) -> None:
    package = Package(package_of(build))
    _, block = package.function()
    for operation in block.operations:
        change(operation)
    (package_of(build) / MODEL_FILE).write_bytes(package.spec.SerializeToString())


def drop_the_mask(build: Path) -> None:
    def drop(operation) -> None:
        if operation.type == "scaled_dot_product_attention":
            del operation.inputs["attn_mask"]

    change_operations(build, drop)


def turn_positions(build: Path) -> None:
    """Write the tables of another base of the rotary positions."""
    from zoo.formats.coreml.language.rope import rope_tables

    spec = read_spec(build)
    weights = package_of(build) / WEIGHT_FILE
    data = weights.read_bytes()
    wrong = rope_tables(replace(spec, rope_theta=spec.rope_theta / 20))
    for right, other in zip(rope_tables(spec), wrong, strict=True):
        assert data.count(right.tobytes()) == 1
        data = data.replace(right.tobytes(), other.tobytes())
    weights.write_bytes(data)


@pytest.mark.parametrize("damage", [None, flip_a_block, drop_the_mask, turn_positions])
def test_the_check_sees_damage(made, tmp_path, damage):
    folder, judge = made
    build = shutil.copytree(folder, tmp_path / "build")
    if damage is not None:
        damage(build)
    verdict = judge(build)
    assert verdict.status == ("failed" if damage else "passed"), str(verdict)


DAMAGED = """
from pathlib import Path
import zoo
import zoo_mistral.coreml as real

@zoo.hookimpl
def convert(recipe, build, source, adapters, workdir, progress):
    made = real.convert(recipe, build, source, adapters, workdir, progress)
    weights = next(made.rglob("weight.bin"))
    data = bytearray(weights.read_bytes())
    middle = len(data) // 128 * 64
    data[middle : middle + 64] = bytes(255 - byte for byte in data[middle : middle + 64])
    weights.write_bytes(data)
    return made

run = real.run
"""


@pytest.mark.usefixtures("warm")
def test_a_damaged_build_is_not_published(sandbox):
    """One block of 32 weights, through a plugin, the pipeline and the command line."""
    from zoo.testing.plugins import install_plugin

    groups = {
        "zoo.families": {"bent.coreml": "bent_coreml", "bent.torch": "zoo_mistral.torch"},
    }
    install_plugin(sandbox.site, "bent", {"bent_coreml.py": DAMAGED}, groups)
    add_mini(sandbox, ('family = "mistral"', 'family = "bent"'))
    done = sandbox.zoo("build", "mine:v/coreml-fp16")
    assert done.returncode == 1
    assert "failed its check" in done.stderr
    assert done.stdout == ""
    assert not [path for path in sandbox.artifacts() if "coreml" in path.name]
    assert [path for path in (sandbox.home / "failed").iterdir() if "coreml" in path.name]
