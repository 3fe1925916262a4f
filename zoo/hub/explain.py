"""What the Hub's client raises, as what a person can act on."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from zoo.errors import Gated, NoRoom, NotFound, Offline, ZooError
from zoo.hub import transfer
from zoo.progress import Progress

Answer = TypeVar("Answer")

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
FREE_SPACE = "free some space, or set HF_HOME to a folder on another disk"
CANNOT = "'{repo}' at revision '{revision}' cannot be fetched from {hub}: {reason}"
EXPLANATIONS: dict[str, tuple[type[ZooError], str, str]] = {
    "GatedRepoError": (
        Gated,
        "'{repo}' is gated, and you have no access to it yet",
        f"accept the license at {{hub}}/{{repo}}, then {LOGIN}",
    ),
    "RepositoryNotFoundError": (
        NotFound,
        "{hub} has no repository '{repo}', or it is private",
        f"if it is private, {LOGIN}",
    ),
    "RevisionNotFoundError": (
        NotFound,
        "'{repo}' has no revision '{revision}'",
        "see {hub}/{repo}/commits/main",
    ),
    "RemoteEntryNotFoundError": (
        NotFound,
        "'{repo}' at revision '{revision}' lists a file that it does not have",
        "see {hub}/{repo}",
    ),
    "absent": (
        NotFound,
        "{hub} has no such repository, revision or file ({reason}): "
        "'{repo}' at revision '{revision}'",
        "see {hub}/{repo}",
    ),
    "refused": (Gated, "{hub} refuses your token for '{repo}'", LOGIN),
    "OfflineModeIsEnabled": (
        Offline,
        "offline mode is on, and the cache lacks files of '{repo}' at revision '{revision}'",
        "unset HF_HUB_OFFLINE",
    ),
    "disk full": (
        NoRoom,
        "the disk filled up while '{repo}' was fetched; the partial download is kept",
        FREE_SPACE,
    ),
    "lost": (Offline, CANNOT, "check the network, and any proxy or login page on the way"),
}
"""What to say to each error of the Hub's client, by the name of its class or a base class."""


class Nonsense(Exception):
    """An answer that no hub gives, such as a login page; `args[0]` says how it shows."""


LOST = ("HTTPError", "InvalidURL", "StreamError")


def explain(error: BaseException, repo: str, revision: str, endpoint: str) -> ZooError | None:
    """What to tell a person of this failure; `None` when it is a fault of ours."""
    if isinstance(error, ZooError):
        return None
    for link in _chain(error):
        if (kind := _kind(link)) is not None:
            return _told(kind, repo, revision, endpoint, _reason(link))
    return None


def lost(repo: str, revision: str, endpoint: str, reason: str) -> ZooError:
    """That the network failed for longer than we wait."""
    return _told("lost", repo, revision, endpoint, reason)


def retrying(attempt: Callable[[], Answer], endpoint: str, progress: Progress) -> Answer:
    """The result of `attempt`, made again after ever longer pauses while the network fails."""
    from huggingface_hub.errors import HTTPError

    for pause in transfer.PAUSES:
        try:
            return attempt()
        except (OSError, HTTPError) as error:
            failed = _transient(error)
            if failed is None:
                raise
            asked = transfer.asked_pause(getattr(failed, "response", None))
            seconds = asked or transfer.with_jitter(pause)
            if seconds > transfer.LONGEST_PAUSE:
                raise
            progress.note(
                f"{plain_address(endpoint)}: {_reason(failed)}; trying again in {seconds:.2g} s"
            )
            time.sleep(seconds)
    return attempt()


def plain_address(endpoint: str) -> str:
    """The Hub's address, without a password that it may hold."""
    return re.sub("//[^/@]*@", "//", endpoint)


def _told(kind: str, repo: str, revision: str, endpoint: str, reason: str) -> ZooError:
    code, message, hint = EXPLANATIONS[kind]
    words = {
        "hub": plain_address(endpoint),
        "repo": repo,
        "revision": revision,
        "reason": reason,
    }
    return code(message.format(**words), hint.format(**words))


def _kind(error: BaseException) -> str | None:
    """Which of the explanations fits, if any."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk full"
    names = [c.__name__ for c in type(error).__mro__]
    if kind := next((name for name in names if name in EXPLANATIONS), None):
        return kind
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        return "refused" if code in (401, 403) else "absent" if code in (404, 410) else "lost"
    return "lost" if any(name in LOST for name in names) else None


def _transient(error: BaseException) -> BaseException | None:
    """What failed in a way that may go better the next time, if that is what happened.

    The Hub's client raises an error of its own from the one of its HTTP library: the outer one
    knows whether the answer is final.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    for link in _chain(error):
        if isinstance(link, HfHubHTTPError) and link.response.status_code not in transfer.TRANSIENT:
            return None
        passing = isinstance(link, HTTPError)
        if passing:
            return link
    return None


def _reason(error: BaseException) -> str:
    """What went wrong, without the client's own words: addresses in them may hold a token."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return f"it answered {error.response.status_code}"
    return f"the connection failed ({type(error).__name__})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
