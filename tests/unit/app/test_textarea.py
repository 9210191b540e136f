"""A text field loses nothing of lvs.cf: what was not edited comes back byte for byte, what was edited as it was meant."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.textarea import LARGEST_FILE_BYTES, pack, restored, shown, unpack

TEXTS = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"a = 1", b"\xff\xfe", b"\r", b"\n", b"\r\n", b"\\xff", b"\0", "␍ü".encode(), b"\xef\xbb\xbf"])).map(
        b"".join
    ),
).map(lambda data: data.decode("utf-8", "surrogateescape"))


def sent(field: str) -> str:
    """What a browser makes of a field that nobody touched: LF while it is shown, CR LF on the way back."""
    return field.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


@given(TEXTS)
@example("\n\n")
@example("a\r\nb\nc\rd\r")
def test_what_nobody_touched_comes_back_as_it_was(text: str) -> None:
    assert restored(sent(shown(text)), text) == text


@given(TEXTS)
def test_what_is_shown_is_something_a_page_can_carry(text: str) -> None:
    field = shown(text)
    field.encode()
    assert "\r" not in field
    assert "\0" not in field
    assert field.count("\n") == text.count("\n")


@given(TEXTS, TEXTS)
def test_showing_an_edited_text_once_more_changes_nothing(text: str, typed: str) -> None:
    first = restored(sent(shown(typed)), text)
    assert restored(sent(shown(first)), first) == first


@given(TEXTS)
def test_the_hidden_word_holds_every_byte_and_survives_a_browser(text: str) -> None:
    word = pack(text)
    assert word.isascii()
    assert sent(word) == word
    assert unpack(word) == text


@pytest.mark.parametrize("word", ["", "x", "####", "eJw=", pack("a")[:-4], "é"])
def test_a_spoilt_word_is_no_text(word: str) -> None:
    assert unpack(word) is None


def test_a_word_that_would_fill_the_memory_is_no_text() -> None:
    assert unpack(pack("x" * LARGEST_FILE_BYTES)) is not None
    assert unpack(pack("x" * (LARGEST_FILE_BYTES + 1))) is None


@pytest.mark.parametrize(
    ("text", "typed", "wanted"),
    [
        ("a\nb\nc\n", "a\r\nB\r\nc\r\n", "a\nB\nc\n"),
        ("a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n", "a\r\nB\r\nc\r\n"),
        ("a\r\nb\r\nc", "a\r\nb\r\nc\r\nd", "a\r\nb\r\nc\r\nd"),
        ("a\r\nb\r\n", "a", "a"),
        ("a\nb\r\nc\n", "a\r\nb\r\nC\r\n", "a\nb\r\nC\n"),
        ("a\udcff\nb\n", "a\\xff\r\nB\r\n", "a\udcff\nB\n"),
        ("a\udcff\nb\n", "aa\\xff\r\nb\r\n", "aa\udcff\nb\n"),
        ("a\nb\n", "a\\xff\r\nb\r\n", "a\\xff\nb\n"),
        ("a\rb\nc\n", "a␍b\r\nC\r\n", "a\rb\nC\n"),
        ("a\rb\nc\n", "A␍b\r\nc\r\n", "A\rb\nc\n"),
    ],
)
def test_a_changed_line_keeps_the_files_line_ends_and_bytes(text: str, typed: str, wanted: str) -> None:
    assert restored(typed, text) == wanted


def test_a_file_that_is_wholly_new_is_taken_as_typed() -> None:
    assert restored("serial_no = 1\r\n# ␍ \\xff\r\n", "") == "serial_no = 1\n# ␍ \\xff\n"
