"""What tells the families that people ask for from a plain decoder, as code of a declaration."""

from __future__ import annotations

ATTENTION, MLP = '("q", "k", "v", "o")', '("gate", "up", "down")'

QWEN = """\
    windowed=True,
    window=4096,
    window_switch="use_sliding_window",
    full_layers=FullLayers(first=28, key="max_window_layers"),
    positions=32768,
"""
GEMMA = f"""\
    biases={{"attention_bias": {ATTENTION}}},
    post_norms=True,
    norm_plus_one=True,
    activation="gelu_pytorch_tanh",
    activation_key="hidden_activation",
    scaled_embedding=True,
    windowed=True,
    window=4096,
    tied=True,
"""
FAMILIES = {
    "llama": f'    biases={{"attention_bias": {ATTENTION}, "mlp_bias": {MLP}}},\n',
    "qwen2": f'    biases={{"": ("q", "k", "v")}},\n{QWEN}',
    "qwen3": f'    biases={{"attention_bias": {ATTENTION}}},\n    qk_norms=True,\n{QWEN}',
    "gemma2": f"""\
{GEMMA}    scalars={{
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    }},
    full_layers=FullLayers(every=2),
    positions=8192,
""",
    "gemma3_text": f"""\
{GEMMA}    qk_norms=True,
    scalars={{"query_pre_attn_scalar": 256, "final_logit_softcapping": None}},
    full_layers=FullLayers(every=6, key="sliding_window_pattern"),
    theta=1_000_000.0,
    local_theta=10_000.0,
    positions=131_072,
""",
}


def declaration(family: str, architecture: str) -> tuple[str, str]:
    """What the module of a family imports, and the arguments of its declaration.

    Args:
        family: the model type in transformers; one that is not known here is a plain decoder.
        architecture: its class there.
    """
    traits = f'    "{family}",\n    "{architecture}",\n' + FAMILIES.get(family, "")
    names = ["DecoderFamily", *(["FullLayers"] if "FullLayers" in traits else [])]
    return ", ".join(names), traits.rstrip()
