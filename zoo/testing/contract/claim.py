"""A claim: one thing that a plugin must keep, and how that is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from zoo.errors import InputError, said


class BrokenClaim(AssertionError):
    """A plugin does not keep a claim; the message says what it does instead."""


class Unreached(SkipTest):
    """A claim that cannot be tried, because another one that comes before is broken."""


@dataclass(frozen=True)
class Claim:
    """One claim of a contract.

    Attributes:
        name: of the claim, and of the test.
        promise: the claim in one sentence.
        keep: tries it on a subject.
        slow: whether it starts a process that loads the plugin's packages.
    """

    name: str
    promise: str
    keep: Callable[[Any], None]
    slow: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a claim.

    Attributes:
        claim: the name of the claim.
        status: what came of it.
        reason: why it is broken or was not tried.
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
        """As `claim`, for one that starts a process that loads the plugin's packages."""
        return self._add(keep, slow=True)

    def _add(self, keep: Callable[[Any], None], *, slow: bool) -> Callable[[Any], None]:
        promise = " ".join((keep.__doc__ or "").split())
        self.append(Claim(keep.__name__, promise, keep, slow))
        return keep


def require(condition: object, message: str) -> None:
    """Refuse a plugin for which a condition does not hold.

    Raises:
        BrokenClaim: with the message.
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
    """Try claims one after another, whatever comes of each.

    Args:
        claims: the claims.
        subject: what they are tried on.
        slow: whether the slow ones are tried too.
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
