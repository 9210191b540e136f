"""Text from lvs.cf, which may hold any bytes, as it may leave the agent.  Owns that alone."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text for the wire and for people: bytes that were not UTF-8 (lone surrogates) become ``\\xNN``."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
