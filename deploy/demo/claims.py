"""Ports that one demonstration has to itself for as long as it lives, whether or not anything listens there yet.

Owns the claims.  Two demonstrations that start in the same moment both find a port free; only one of them can claim it.  A claim is a Unix
socket without a file: the kernel gives a name to one process alone, and takes it back when that process is gone, however it went.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from types import TracebackType


class Claims:
    """What one demonstration has claimed; the end of the ``with`` gives it back."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for one in self._held:
            one.close()
        self._held.clear()

    def take(self, addresses: Iterable[str], port: int) -> bool:
        """Claim this port of every one of ``addresses``, or of none; says whether it is claimed now."""
        taken: list[socket.socket] = []
        for address in addresses:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            taken.append(claim)
            try:
                claim.bind(f"\0piranha-demonstration {address}:{port}")
            except OSError:
                for one in taken:
                    one.close()
                return False
        self._held += taken
        return True
