"""How a child shows the supervisor that its event loop turns, and what its last words were: lines on an inherited pipe.

Owns both ends.  A child that was not started by a supervisor has no lifeline, and every call does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import MutableMapping

VARIABLE = "LVSAGENT_LIFELINE"
BEAT_S = 1.0
LAST_WORDS_LIMIT_BYTES = 1000

_BEAT = b".\n"


class Lifeline:
    """The child's end."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def keep_beating(self) -> None:
        """Beat now and every second from the running event loop: if the loop hangs, the beats stop."""
        if self._handle is not None:
            self._write(_BEAT)
            asyncio.get_running_loop().call_later(BEAT_S, self.keep_beating)

    def last_words(self, reason: str) -> None:
        """Say why this process ends."""
        words = " ".join(reason.split()).encode(errors="replace")[:LAST_WORDS_LIMIT_BYTES]
        self._write(b"!" + words + b"\n")

    def _write(self, line: bytes) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):  # full: the supervisor is stopped; closed: it is gone, which is another signal's business
                os.write(self._handle, line)


_lifeline = Lifeline(None)


def grasp(environment: MutableMapping[str, str]) -> Lifeline:
    """Take the inherited pipe named in the environment; programs started later do not get it."""
    global _lifeline  # noqa: PLW0603 -- one process has one
    number = environment.pop(VARIABLE, "")
    if number.isdigit():
        handle = int(number)
        os.set_inheritable(handle, False)
        os.set_blocking(handle, False)
        _lifeline = Lifeline(handle)
    return _lifeline


def keep_beating() -> None:
    """What each of lvsd, pulse and nanny calls once its event loop runs and it is ready to work."""
    _lifeline.keep_beating()


def read_beats(handle: int) -> tuple[bool, str]:
    """The supervisor's end: whether there was a beat since the last call, and last words, if any."""
    text = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(handle, 65536):
            text += part
    lines = text.split(b"\n")
    words = [line[1:].decode(errors="replace") for line in lines if line.startswith(b"!")]
    return _BEAT.strip() in lines, words[-1] if words else ""
