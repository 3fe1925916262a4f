"""Random Whisper checkpoints in Hugging Face's layout."""

from zoo_whisper.tiny import make

__all__ = ["make"]
