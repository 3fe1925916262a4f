"""What the inputs, states and outputs of zoo's packages are, in words that Xcode shows.

Families use one name for one thing, so one table describes all of them.
"""

from __future__ import annotations

from typing import Any

MEANINGS = {
    "inputIds": "new tokens",
    "causalMask": "added to attention scores: 0 where a token attends, -40,000 elsewhere",
    "slidingMask": "as `causalMask`, for the layers with a sliding window",
    "logitIndices": "positions among the new tokens to return logits for",
    "keyCache": "keys so far, kept by Core ML",
    "valueCache": "values so far, kept by Core ML",
    "logits": "one row for each position asked for",
    "tokens": "new tokens",
    "mask": "as `causalMask`",
    "keys": "cross-attention keys: the encoder's output, the decoder's input",
    "values": "cross-attention values, likewise",
    "crossAttention": "cross-attention of the alignment heads, for word timestamps",
    "samples": "16 kHz audio of one window, zero-padded",
    "mel": "log-mel spectrogram; cast it to float32 between the packages",
    "hidden": "the encoder's hidden states",
    "input_ids": "77 tokens, as floats",
    "last_hidden_state": "for the U-Net, transposed to (batch, features, 1, 77)",
    "pooled_outputs": "used by SDXL",
    "sample": "latents; batch 2 for classifier-free guidance",
    "timestep": "one for each latent",
    "encoder_hidden_states": "the text, unconditional first",
    "noise_pred": "predicted noise",
    "z": "latents, divided by the VAE's scaling factor",
    "image": "RGB from -1 to 1",
    "x": "RGB from -1 to 1",
    "latent": "mean and log-variance, stacked",
}
"""By name; zoo's own packages use each name for one thing."""


def describe_features(spec: Any) -> None:
    """Describe each input, state and output that has a known name and no description yet.

    Args:
        spec: of coremltools' `Model` message, whose functions are described too.
    """
    for described in (spec.description, *spec.description.functions):
        for feature in (*described.input, *described.state, *described.output):
            if not feature.shortDescription:
                feature.shortDescription = MEANINGS.get(feature.name, "")
