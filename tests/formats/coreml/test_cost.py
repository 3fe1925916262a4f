"""`zoo cost`: parameters, bytes and arithmetic, against the files and against PyTorch's count."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from worlds import openelm_checkpoint
from worlds.coreml_builds import make_build, package_of
from worlds.coreml_programs import mb, uniform, write

import zoo
import zoo_openelm.coreml
from zoo.formats.coreml.cost import layer_of, package_cost
from zoo.formats.coreml.execute.plan import read_plan
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.plugin import cost as cost_hook
from zoo.reports.costs import Cost, Operation
from zoo.site.cost import page
from zoo_openelm.torch import OpenELMTextModel

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cost")
    source = openelm_checkpoint.make(folder / "source")
    return make_build(zoo_openelm.coreml, source, folder / "build", context=64)


def test_the_arithmetic_is_what_pytorch_counts(build):
    source = build.parent.parent / "source"
    with OpenELMTextModel.load(source, context=None) as model, torch.inference_mode():
        plain = sdpa_kernel(SDPBackend.MATH)  # the only one whose products it counts on a CPU
        with plain, FlopCounterMode(display=False) as counter:
            model.forward(list(range(64)), None, 1)
        counted = counter.get_total_flops()
    kinds = {kind.name: kind for kind in cost_hook(build, 64).by_kind()}
    found = kinds["linear"].flops + kinds["scaled_dot_product_attention"].flops
    softmax = 5 * 64 * 64 * sum(openelm_checkpoint.TINY["num_query_heads"])
    assert found - softmax == counted


def test_parameters_and_bytes_are_those_of_the_file(build):
    total = cost_hook(build, None).total
    source = build.parent.parent / "source"
    with OpenELMTextModel.load(source, context=None) as model:
        assert total.parameters == sum(weight.numel() for weight in model.module.parameters())
    on_disk = (package_of(build) / WEIGHT_FILE).stat().st_size
    assert total.weight_bytes == pytest.approx(on_disk, rel=0.1)  # headers, in a tiny model
    assert total.weight_bytes < on_disk


def test_layers_and_kinds_both_sum_up_to_the_total(build):
    cost = cost_hook(build, 8)
    assert cost.case == "8 tokens after 56 others"
    assert [layer.name for layer in cost.by_layer()][1:5] == [
        "transformer_token_embeddings",
        *(f"transformer_layers_{number}" for number in range(3)),
    ]
    for figure in ("parameters", "weight_bytes", "activation_bytes", "flops", "count"):
        for parts in (cost.by_layer(), cost.by_kind(), cost.operations):
            assert sum(getattr(part, figure) for part in parts) == getattr(cost.total, figure)


def test_more_tokens_cost_more_arithmetic_and_no_more_weights(build):
    one, eight = cost_hook(build, None).total, cost_hook(build, 8).total
    assert 6 * one.flops < eight.flops < 8 * one.flops
    assert one.weight_bytes == eight.weight_bytes
    with pytest.raises(zoo.InputError, match="65 tokens are more than the 64"):
        cost_hook(build, 65)


def test_compressed_weights_count_as_they_are_stored(build, tmp_path):
    source = build.parent.parent / "source"
    passes = {"kind": "quantize", "bits": 4, "block_size": 32}
    small = cost_hook(make_build(zoo_openelm.coreml, source, tmp_path, passes, context=64), None)
    plain = {o.name: o for o in cost_hook(build, None).operations}
    for operation in small.operations:
        assert operation.parameters == plain[operation.name].parameters
        if operation.kind == "linear" and operation.parameters:
            bits = 8 * operation.weight_bytes / operation.parameters
            assert bits == pytest.approx(4.5, abs=0.3)


def test_a_convolution(tmp_path):
    weight, image = uniform(4, 6, 3, 3), (1, 6, 9, 8)
    package = write(tmp_path / "m.mlpackage", lambda x: mb.conv(x=x, weight=weight), image)
    (conv,) = package_cost(package, {"x": image})
    assert conv.flops == 2 * (4 * 7 * 6) * (6 * 3 * 3)
    assert conv.parameters == weight.size
    assert conv.activation_bytes == 2 * (6 * 9 * 8 + 4 * 7 * 6)


@pytest.mark.parametrize(
    ("weight", "layer"),
    [
        ("model_layers_13_mlp_up_proj_weight", "model_layers_13"),
        ("model_embed_tokens_weight", "model_embed_tokens"),
        ("encoder_layers_0_fc1_weight_to_fp16", "encoder_layers_0"),
        ("conv_in_weight_to_fp16", "conv_in"),
        ("position_embeddings_to_fp16", "position_embeddings"),
        ("unet_mid_block_resnets_1_conv1_weight_palettized", "unet_mid_block_resnets_1"),
    ],
)
def test_the_layer_is_in_the_name_of_the_weight(weight, layer):
    assert layer_of(weight) == layer


class MLNeuralEngineComputeDevice:
    pass


def test_core_mls_own_plan_is_read():
    """With stand-ins: the plan itself needs a Mac."""
    operations = [SimpleNamespace(outputs=[SimpleNamespace(name=name)]) for name in "ab"]
    operations.append(SimpleNamespace(outputs=[]))
    usage = SimpleNamespace(preferred_compute_device=MLNeuralEngineComputeDevice())
    plan = SimpleNamespace(
        get_compute_device_usage_for_mlprogram_operation=lambda o: (
            usage if o is operations[0] else None
        ),
        get_estimated_cost_for_mlprogram_operation=lambda o: (
            SimpleNamespace(weight=0.25) if o is operations[0] else None
        ),
    )
    function = SimpleNamespace(block=SimpleNamespace(operations=operations))
    assert read_plan(plan, function) == {"a": ("NeuralEngine", 0.25), "b": (None, None)}


def test_the_command_line(built, tmp_path):
    table = built.zoo("cost", "openelm:mini")
    assert table.returncode == 0, table.stderr
    assert "transformer_layers_5" in table.stdout
    data = json.loads(built.zoo("cost", "openelm:mini/coreml-int4", "--json").stdout)
    assert data["total"]["parameters"] == 2_472_768
    assert len(data["operations"]) == data["total"]["count"]
    each = built.zoo("cost", "openelm:mini", "--operations").stdout
    assert "scaled_dot_product_attention" in each
    html = tmp_path / "cost.html"
    assert built.zoo("cost", "openelm:mini", "--html", str(html)).returncode == 0
    assert "transformer_layers_5" in html.read_text()
    refused = built.zoo("cost", "openelm:mini", "--html", str(tmp_path / "none" / "x.html"))
    assert (refused.returncode, "cannot be written" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("verb", "words"),
    [("cost", "have no cost report"), ("lint", "the format 'mlx' has no lint")],
)
def test_a_format_without_a_report_is_refused_before_anything_is_built(sandbox, verb, words):
    done = sandbox.zoo(verb, "openelm:mini/mlx")
    assert done.returncode == 2
    assert words in done.stderr
    assert not sandbox.artifacts()


@pytest.mark.long
def test_the_site_has_the_cost_of_a_build(built, tmp_path):
    assert built.zoo("cost", "openelm:mini").returncode == 0
    assert built.zoo("site", str(tmp_path / "site")).returncode == 0
    page = tmp_path / "site" / "models" / "zoo" / "openelm" / "mini.html"
    assert "Cost by layer" in page.read_text()


def test_the_page_is_whole_and_needs_nothing_else(build):
    cost = cost_hook(build, None)
    text = page("<script>alert('me')</script>", cost)
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert not {"src", "href"} & {name for name, _ in attributes}
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    reader = Reader()
    reader.feed(text)
    reader.close()
    assert opened == []
    assert "<script>" not in text
    widths = [float(share) for share in re.findall(r'<rect[^>]* width="([^"]*)%"', text)]
    assert max(widths) == 100
    assert np.isfinite(widths).all()


def test_several_components_are_told_apart():
    cost = Cost(
        "one call",
        (Operation("unet", "a", "conv", "x", flops=3), Operation("vae", "a", "conv", "y")),
    )
    assert [(layer.part, layer.flops) for layer in cost.by_layer()] == [("unet", 3), ("vae", 0)]
    assert ">unet<" in page("p", cost)
