"""The family Mistral: decoders with grouped-query attention, rotary positions and SwiGLU.

Mistral 7B, https://arxiv.org/abs/2310.06825.
"""
