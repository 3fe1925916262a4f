"""`zoo lint` as a person runs it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from worlds.lint_programs import H, Twin, half, mb, ranged, rms, weights

from zoo.cli import app


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    Twin(rms, x=(H, 1, 32)).save(folder / "faulty.mlpackage")
    Twin(lambda x: mb.add(x=x, y=half(1)), x=(H, 1, 32)).save(folder / "clean.mlpackage")
    Twin(rms, x=ranged("x", 1, (1, 64))).save(folder / "ranged.mlpackage")
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = app.run(["lint", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_fault_is_named_with_its_place_effect_and_fix(packages, capsys):
    code, out, _ = run(capsys, packages / "faulty.mlpackage", "--for", "iphone-neural-engine")
    assert code == 1
    assert "N4" in out
    assert "silent" in out
    assert "reduce_mean_0" in out
    assert "layer_norm" in out
    assert "Prediction for faulty, function main: 100% ane" in out


def test_a_clean_package_exits_with_0(packages, capsys):
    code, out, _ = run(capsys, packages / "clean.mlpackage")
    assert code == 0
    assert "No known fault" in out


def test_what_fails_is_chosen(packages, capsys):
    line = (packages / "ranged.mlpackage", "--for", "iphone-neural-engine", "--json")
    findings = json.loads(run(capsys, *line)[1])["findings"]
    assert {"N4", "A5"} <= {finding["id"] for finding in findings}
    wide = Twin(lambda x: mb.relu(x=x), x=ranged("x", 1, (1, 64)))
    path = wide.save(packages / "slow.mlpackage")
    for level, wanted in (("silent", 0), ("refused", 0), ("slow", 1), ("note", 1)):
        line = (path, "--for", "iphone-neural-engine", "--fail-on", level)
        assert run(capsys, *line)[0] == wanted


def test_sarif_names_the_rule_and_the_operation(packages, capsys):
    code, out, _ = run(capsys, packages / "faulty.mlpackage", "--sarif")
    document = json.loads(out)
    assert code == 1
    assert document["version"] == "2.1.0"
    result = document["runs"][0]["results"][0]
    assert result["ruleId"] == "N4"
    assert result["level"] == "error"
    where = result["locations"][0]["logicalLocations"][0]
    assert where["fullyQualifiedName"] == "faulty/main/reduce_mean_0"


def test_the_page_is_written(packages, capsys, tmp_path):
    page = tmp_path / "lint.html"
    code, _, err = run(capsys, packages / "faulty.mlpackage", "--html", page)
    text = page.read_text()
    assert code == 1
    assert str(page) in err
    assert "Sum of squares in float16" in text
    assert "1 problem: wrong results, no error." in text
    assert "For any Mac or iPhone" in text
    assert "use <code>reduce_l2_norm</code>" in text
    assert '<rect class="ane" x="0.0%" width="100.0%"' in text
    assert "<script" not in text
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mlpackage")
    shutil.copytree(packages / "faulty.mlpackage", odd)
    assert run(capsys, odd, "--html", page)[0] == 1
    assert "caf" in page.read_text()


def test_findings_and_bars_have_the_layers_of_the_weights(tmp_path, capsys):
    def layered(x):
        for number in range(3):
            weight = mb.const(val=weights(64, 64), name=f"model_layers_{number}_mlp_weight")
            x = rms(mb.linear(x=x, weight=weight))
        return x

    package = Twin(layered, x=(H, 1, 4, 64)).save(tmp_path / "layered.mlpackage")
    line = (package, "--for", "iphone-neural-engine", "--json", "--html", tmp_path / "page.html")
    findings = {f["id"]: f for f in json.loads(run(capsys, *line)[1])["findings"]}
    layers = [f"model_layers_{number}" for number in range(3)]
    assert findings["A26"]["layers"] == layers
    assert set(findings["N4"]["layers"]) <= set(layers)
    text = (tmp_path / "page.html").read_text()
    assert all(f"<code>{layer}</code>" in text for layer in layers)
    assert "3 places in the model" in text


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["nowhere.mlpackage"], 3, "no package"),
        (["--for", "watch"], 2, "'watch' is not a target"),
        (["--os", "ios3"], 2, "'ios3' is not a known system"),
        (["--for", "mac-gpu", "--os", "ios18"], 2, "does not run ios18"),
        (["--json", "--sarif"], 2, "not both"),
    ],
)
def test_a_bad_request_is_one_sentence(packages, capsys, line, code, words):
    path = [] if line[0].endswith("package") else [packages / "clean.mlpackage"]
    found, _, err = run(capsys, *path, *line)
    assert found == code
    assert words in err


def test_a_neural_network_is_refused_by_kind(tmp_path, capsys):
    import coremltools as ct

    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(4))], [("y", ct.models.datatypes.Array(4))]
    )
    builder.add_activation("relu", "RELU", "x", "y")
    path = tmp_path / "old.mlpackage"
    ct.models.MLModel(builder.spec, skip_model_load=True).save(str(path))
    code, _, err = run(capsys, path)
    assert code == 2
    assert "neuralNetwork" in err


def test_a_damaged_package_is_an_integrity_error(packages, tmp_path, capsys):
    import shutil

    path = tmp_path / "torn.mlpackage"
    shutil.copytree(packages / "faulty.mlpackage", path)
    model = next(path.rglob("*.mlmodel"))
    model.write_bytes(model.read_bytes()[:-40])
    code, _, err = run(capsys, path)
    assert code == 5
    assert "torn.mlpackage" in err


def test_a_compiled_model_with_flexible_shapes(tmp_path, capsys):
    folder = tmp_path / "old.mlmodelc"
    folder.mkdir()
    described = [{"inputSchema": [{"name": "audio", "hasShapeFlexibility": "1"}]}]
    (folder / "metadata.json").write_text(json.dumps(described))
    assert "L5" in run(capsys, folder)[1]
    described[0]["FlexibleShapeInformation"] = {}
    (folder / "metadata.json").write_text(json.dumps(described))
    assert "L5" not in run(capsys, folder)[1]


def test_a_pipeline_with_suppression(packages, tmp_path, capsys):
    import coremltools as ct
    from coremltools.proto import Model_pb2
    from formats.coreml.lint.test_lint_rules import TWINS

    TWINS["A26"][0].save(tmp_path / "inner.mlpackage")
    TWINS["N11"][0].save(tmp_path / "compressed.mlpackage")
    for name, wanted in (("compressed", True), ("inner", False)):
        spec = Model_pb2.Model(specificationVersion=9)
        inner = ct.utils.load_spec(str(tmp_path / f"{name}.mlpackage"))
        spec.pipeline.models.add().CopyFrom(inner)
        spec.pipeline.models.add().nonMaximumSuppression.iouThreshold = 0.5
        whole = tmp_path / f"{name}-pipeline.mlpackage"
        (whole / "Data/com.apple.CoreML").mkdir(parents=True)
        (whole / "Data/com.apple.CoreML/model.mlmodel").write_bytes(spec.SerializeToString())
        (whole / "Manifest.json").write_text(
            (tmp_path / f"{name}.mlpackage" / "Manifest.json").read_text()
        )
        assert ("L24" in run(capsys, whole)[1]) == wanted
