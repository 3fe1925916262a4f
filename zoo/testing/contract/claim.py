"""Claims: the single tests of a contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from zoo.errors import InputError, said


class BrokenClaim(AssertionError):
    """A test of a contract failed; the message says what the plugin does."""


class Unreached(SkipTest):
    """A test of a contract cannot run, because one that comes before it failed."""


@dataclass(frozen=True)
class Claim:
    """One test of a contract.

    Attributes:
        name: name of the test.
        promise: what is required, in one sentence.
        keep: runs the test on a subject.
        slow: whether it starts a process that imports the plugin's packages.
    """

    name: str
    promise: str
    keep: Callable[[Any], None]
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of a test of a contract.

    Attributes:
        claim: name of the test.
        status: `kept`, `broken` or `not tried`.
        reason: why it failed or was not run.
    """

    claim: str
    status: Literal["kept", "broken", "not tried"]
    reason: str = ""


class Claims(list[Claim]):
    """The claims of one kind, in order."""

    def claim(self, keep: Callable[[Any], None]) -> Callable[[Any], None]:
        """Add the claim that a function tries, whose docstring is the promise."""
        return self._add(keep, slow=False)

    def slow(self, keep: Callable[[Any], None]) -> Callable[[Any], None]:
        """Add a claim like `claim`, for one that starts a process with the plugin's packages."""
        return self._add(keep, slow=True)

    def _add(self, keep: Callable[[Any], None], *, slow: bool) -> Callable[[Any], None]:
        promise = " ".join((keep.__doc__ or "").split())
        self.append(Claim(keep.__name__, promise, keep, slow))
        return keep


def require(condition: object, message: str) -> None:
    """Raise an error unless a condition holds.

    Args:
        condition: what must be true.
        message: what the plugin does instead.

    Raises:
        BrokenClaim: the condition is false.
    """
    if not condition:
        raise BrokenClaim(message)


def require_refused(attempt: Callable[[], object], what: str, does: str) -> None:
    """Require that a call raises an `InputError`.

    Args:
        attempt: the call.
        what: what it passes or calls, as the subject of the message.
        does: what happened if it raises nothing, as the verb of the message.

    Raises:
        BrokenClaim: it returns, or raises another exception.
    """
    try:
        attempt()
    except InputError:
        return
    except Exception as error:
        raise BrokenClaim(
            f"{what} raises {type(error).__name__}, not a zoo.InputError: {error}"
        ) from error
    raise BrokenClaim(f"{what} {does}")


def outcomes(claims: Iterable[Claim], subject: Any, *, slow: bool = True) -> Iterator[Outcome]:
    """Run claims one after another, and continue after failures.

    Args:
        claims: the claims.
        subject: what they are about.
        slow: whether to run the slow ones too.

    Yields:
        The outcome of each.
    """
    for claim in claims:
        if claim.slow and not slow:
            continue
        try:
            claim.keep(subject)
        except SkipTest as reason:
            yield Outcome(claim.name, "not tried", str(reason))
        except BrokenClaim as broken:
            yield Outcome(claim.name, "broken", str(broken))
        except Exception as error:
            yield Outcome(claim.name, "broken", f"{type(error).__name__}: {said(error)}")
        else:
            yield Outcome(claim.name, "kept")
