"""The family Whisper: an encoder of sound and a decoder of text.

Whisper, https://arxiv.org/abs/2212.04356; published with https://github.com/openai/whisper.
"""
