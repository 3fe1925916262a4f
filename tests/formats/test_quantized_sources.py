"""Sources that are quantized already: read exactly, or named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from zoo.formats.quantized import unpack_fp8, unpack_mlx
from zoo.formats.tensors import Tensors


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("group", [32, 64])
def test_mlx_integers_are_unpacked_as_mlx_does(bits: int, group: int) -> None:
    import mlx.core as mx

    matrix = mx.random.normal((8, 128), key=mx.random.key(bits))
    words, scales, biases = mx.quantize(matrix, group_size=group, bits=bits)
    wanted = np.array(mx.dequantize(words, scales, biases, group_size=group, bits=bits))
    found = unpack_mlx(np.array(words), np.array(scales), np.array(biases), bits)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_eight_bit_floats_are_those_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weight = torch.randn(40, 24).to(torch.float8_e4m3fn)
    scales = torch.rand(3, 2)
    wide = scales.repeat_interleave(16, 0)[:40].repeat_interleave(16, 1)[:, :24]
    wanted = (weight.float() * wide).numpy()
    found = unpack_fp8(weight.view(torch.uint8).numpy(), scales.numpy(), (16, 16))
    np.testing.assert_array_equal(found, wanted)
    save_file({"a.weight": weight, "a.weight_scale_inv": scales}, tmp_path / "model.safetensors")
    settings = {"quant_method": "fp8", "weight_block_size": [16, 16]}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": settings}))
    tensors = Tensors(tmp_path)
    assert tensors.shapes == {"a.weight": (40, 24)}
    np.testing.assert_array_equal(tensors.read("a.weight"), wanted)


def test_a_checkpoint_of_mlx_runs_by_pytorch(tmp_path: Path) -> None:
    from formats.test_text_models import make
    from mlx_lm.convert import convert

    from zoo.formats.mlx.text import MLXTextModel
    from zoo_mistral import mlx as mistral_mlx
    from zoo_mistral.torch import MistralTextModel

    plain, four = make(tmp_path / "plain"), tmp_path / "four"
    convert(str(plain), str(four), quantize=True, q_bits=4, q_group_size=32)
    (tmp_path / "mlx").mkdir()
    prompt = list(range(20, 40))
    with MLXTextModel.load(mistral_mlx.convert(four, tmp_path / "mlx"), context=None) as model:
        wanted = model.logits(prompt)
    with MistralTextModel.load(four) as model:
        np.testing.assert_allclose(model.logits(prompt), wanted, atol=2e-3 * np.ptp(wanted))
    assert load_file(four / "model.safetensors")["lm_head.weight"].dtype == torch.uint32


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "compressed-tensors", "new"])
def test_other_kinds_are_named(tmp_path: Path, method: str) -> None:
    save_file({"a.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    settings = {"quant_method": method, "bits": 4, "group_size": 128}
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": settings}))
    with pytest.raises(zoo.IntegrityError, match=f"(?i)quantized by {method}"):
        Tensors(tmp_path)
