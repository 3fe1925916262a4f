"""Statistics of a generation: tokens, time, and why it ended."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Generation:
    """Statistics of a generation.

    Attributes:
        prompt_tokens: number of tokens in the prompt.
        tokens: number of tokens generated, without an end-of-text token.
        seconds: seconds from the call to the last token.
        first_seconds: seconds from the call to the first token, which processing the prompt took.
        finish_reason: `stop` at an end-of-text token or a stop string, `length` at `max_tokens`.
    """

    prompt_tokens: int
    tokens: int
    seconds: float
    first_seconds: float
    finish_reason: Literal["stop", "length"]

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed after the first token; 0 for fewer than two tokens."""
        later = self.seconds - self.first_seconds
        return (self.tokens - 1) / later if self.tokens > 1 and later > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{self.prompt_tokens} tokens of prompt in {self.first_seconds:.2f} s, "
            f"{self.tokens} generated at {self.tokens_per_second:.1f} tokens/s, "
            f"finish reason: {self.finish_reason}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as plain data, with `tokens_per_second`."""
        return {**asdict(self), "tokens_per_second": self.tokens_per_second}


@dataclass
class Counter:
    """Collects the statistics of a generation."""

    prompt_tokens: int
    tokens: int = 0
    ended: bool = False
    exhausted: bool = False
    start: float = field(default_factory=time.perf_counter)
    first: float = 0.0
    last: float = 0.0

    def count(self) -> None:
        """Count a token."""
        self.tokens += 1
        self.last = time.perf_counter() - self.start
        self.first = self.first or self.last

    def result(self, most: int) -> Generation:
        """Return the statistics after the last token.

        Args:
            most: the option `max_tokens`.
        """
        cut = self.exhausted and not self.ended and self.tokens >= most
        reason: Literal["stop", "length"] = "length" if cut else "stop"
        return Generation(self.prompt_tokens, self.tokens, self.last, self.first, reason)
