"""The escapes of send and expect."""

from __future__ import annotations

import pytest

from app.lvscf import decode_escapes
from app.lvscf.escapes import unknown_escapes


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("GET / HTTP/1.0\\r\\n\\r\\n", b"GET / HTTP/1.0\r\n\r\n"),
        ("\\t\\\\\\'\\\"", b"\t\\'\""),
        ("\\\\n", b"\\n"),
        ("\\x41\\0", b"\\x41\\0"),
        ("end\\", b"end\\"),
        ("\\d{3}\\.", b"\\d{3}\\."),
        ("ü", "ü".encode()),
        ("\udce9", b"\xe9"),
        ("\\\n", b"\\\n"),
        ("", b""),
    ],
)
def test_six_escapes_are_decoded_and_all_else_stands(text: str, content: bytes) -> None:
    assert decode_escapes(text) == content


def test_unknown_escapes_are_named_once() -> None:
    assert unknown_escapes("\\r\\x\\d\\x\\\\") == ["\\x", "\\d"]
    assert unknown_escapes("a\\") == ["\\"]
