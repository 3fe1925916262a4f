"""Core AI for zoo: Apple's successor to Core ML, as a plugin."""

import logging

# coreai-opt brings torchao, which transformers and diffusers import wherever it is installed, for
# models of formats that are not ours. It warns of libraries for CUDA that cannot be loaded.
for _name in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao"):
    logging.getLogger(_name).setLevel(logging.ERROR)
