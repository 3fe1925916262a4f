"""Transfer by Xet, the chunk store behind the Hub, where the Hub offers it.

The protocol is spoken by `hf-xet`, which comes with the Hub's client. It asks for the chunks of a
file, has those of before in a cache of its own, and knows no partial files: what it brings is
hashed here like everything else, and when it cannot bring it, plain HTTP does.
"""

from __future__ import annotations

import errno
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zoo.hub import client
from zoo.hub.cache import Remote
from zoo.hub.transfer import Meter, Transfer

CONNECT_TIMEOUT = 5.0
"""Seconds that the store has to answer before we go on without it: `hf-xet` itself tries for
minutes, silently."""


def offered(remote: Remote) -> bool:
    """Whether a file can come by Xet: the Hub says so, and the package is there."""
    there = find_spec("hf_xet") is not None and not client.constants().HF_HUB_DISABLE_XET
    return remote.xet is not None and there


def bring(transfer: Transfer, remote: Remote, target: Path) -> bool:
    """Write a file to `target`, unverified; whether it came.

    Raises:
        OSError: the disk is full.
    """
    bar = _Bar(transfer.meter)
    try:
        from huggingface_hub.file_download import xet_get

        xet_get(
            incomplete_path=target,
            xet_file_data=_reachable(transfer, remote),
            headers=transfer.headers,
            expected_size=remote.size,
            displayed_filename=remote.path,
            _tqdm_bar=bar,
        )
    except Exception as error:
        transfer.files.remove(target.relative_to(transfer.files.root).as_posix())
        transfer.meter.add(-bar.n)
        if "No space left" in str(error) or getattr(error, "errno", None) == errno.ENOSPC:
            raise OSError(errno.ENOSPC, "the disk is full", str(target)) from error
        transfer.meter.progress.note(
            f"'{remote.path}': Xet failed ({type(error).__name__}); falling back to HTTP"
        )
        return False
    transfer.meter.add(remote.size - bar.n)
    return True


def _reachable(transfer: Transfer, remote: Remote) -> Any:
    """What `hf-xet` needs to know of a file, once its store was seen to answer."""
    from huggingface_hub.utils import XetFileData
    from huggingface_hub.utils._xet import refresh_xet_connection_info

    route = f"{transfer.endpoint}/api/models/{transfer.repo}/xet-read-token/{transfer.commit}"
    data = XetFileData(file_hash=remote.xet or "", refresh_route=route)
    info = refresh_xet_connection_info(file_data=data, headers=transfer.headers)
    client.session().head(info.endpoint, timeout=CONNECT_TIMEOUT)
    return data


class _Bar:
    """What `hf-xet` takes for a progress bar."""

    def __init__(self, meter: Meter) -> None:
        self.meter, self.n, self.total = meter, 0, None

    def update(self, count: float | None = 1) -> None:
        """So many more bytes are in the file."""
        self.n += int(count or 0)
        self.meter.add(int(count or 0))

    def update_transfer(self, count: float | None = 1) -> None:
        """So many more bytes came over the network; fewer, where chunks were known."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """The listener displays the rate."""

    set_transfer_postfix_str = set_postfix_str

    def refresh(self) -> None:
        """Nothing is displayed here."""
