"""POSIX extended patterns mean what the C library says they mean: its own regcomp and regexec are the judge."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
import regex
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.lvscf.posix_regex import BadPatternError, translate

REG_EXTENDED, REG_NOSUB = 1, 8

_libc = ctypes.CDLL(ctypes.util.find_library("c"))


def c_library_says(pattern: bytes, text: bytes) -> bool | None:
    """Whether the C library's pattern matches; None when it refuses the pattern."""
    compiled = ctypes.create_string_buffer(256)
    if _libc.regcomp(compiled, pattern, REG_EXTENDED | REG_NOSUB):
        return None
    try:
        return _libc.regexec(compiled, text, 0, None, 0) == 0  # type: ignore[no-any-return]
    finally:
        _libc.regfree(compiled)


def we_say(pattern: bytes, text: bytes) -> bool | None:
    try:
        translated = translate(pattern)
    except BadPatternError:
        return None
    return regex.search(translated.pattern, text, timeout=5) is not None


_CHARACTERS = [bytes([byte]) for byte in b"ab*+?.^$|()[]-{},1\\/ \n"]
_BRACKETS = [b"[[:alpha:]]", b"[^ab]", b"[]a]", b"[a-c]", b"[[.a.]]", b"[[=b=]]", b"[^]]", b"[a-]"]
PIECES = st.sampled_from([*_CHARACTERS, *_BRACKETS, b"{2}", b"{1,}", b"{,2}", b"(a|b)", b"\\.", b"\\w", b"\\s"])


@given(
    st.lists(PIECES, max_size=10).map(b"".join),
    st.lists(st.sampled_from([b"a", b"b", b"c", b"1", b" ", b"\n", b"*", b")", b"{"]), max_size=8).map(b"".join),
)
@example(b"", b"")
@example(b"a|*b", b"b")
@example(b"a^b", b"ab")
@example(b"(^a)*b", b"ab")
@example(b")", b")")
@example(b"()", b"")
@example(b"a**", b"b")
@example(b"a+?", b"a")
@example(b"a*+a", b"aa")
@example(b"[a-c-e]", b"d")
@example(b"[\\]]", b"\\]")
def test_the_c_library_agrees(pattern: bytes, text: bytes) -> None:
    assume(not (b"\n" in text and (b"$" in pattern or b"^" in pattern)))  # the C library sometimes takes a line end for an end
    expected = c_library_says(pattern, text)
    assert we_say(pattern, text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (b"^HTTP/1\\.[01] (200|30[12]) ", b"HTTP/1.1 302 Found\r\n", True),
        (b"^HTTP/1\\.[01] (200|30[12]) ", b"HTTP/1.1 503 Down\r\n", False),
        (b"[[:digit:]]{3}-[[:upper:]]+", b"xx 220-READY", True),
        (b"(ab)\\1", b"abab", True),
        (b"ready.*go", b"ready\r\ngo", True),
        (b"\xc3\xa9t\xc3\xa9", "été".encode(), True),
        (b"\\<OK\\>", b"is OK.", True),
    ],
)
def test_patterns_as_they_are_written(pattern: bytes, text: bytes, matches: bool) -> None:
    assert we_say(pattern, text) is matches
    if all(byte < 128 for byte in pattern + text):
        assert c_library_says(pattern, text) is matches


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (b"(a", '"(" without its ")"'),
        (b"[a", '"[" without its "]"'),
        (b"*a", 'nothing before "*" to repeat'),
        (b"a{2,1}", "a count from 2 to 1"),
        (b"a{9999}", "a count above 255"),
        (b"a{x}", '"{" without a count'),
        (b"[z-a]", 'the range "z-a" runs backwards'),
        (b"[[:alfa:]]", "no such class: [:alfa:]"),
        (b"a\\", 'a "\\" at the end'),
        (b"\\2(a)", "without a group of that number"),
    ],
)
def test_a_bad_pattern_is_refused_in_words(pattern: bytes, words: str) -> None:
    with pytest.raises(BadPatternError) as refusal:
        translate(pattern)
    assert words in str(refusal.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_translated_or_refused(pattern: bytes) -> None:
    try:
        translated = translate(pattern)
    except BadPatternError:
        return
    regex.compile(translated.pattern)


@given(
    st.lists(PIECES, max_size=6).map(b"".join), st.text("ab1 \n", max_size=8).map(str.encode), st.text("ab1 \n", max_size=4).map(str.encode)
)
def test_only_a_pattern_that_looks_at_the_end_can_stop_matching_when_more_comes(pattern: bytes, text: bytes, more: bytes) -> None:
    try:
        translated = translate(pattern)
    except BadPatternError:
        return
    assume(not translated.needs_end and regex.search(translated.pattern, text, timeout=5))
    assert regex.search(translated.pattern, text + more, timeout=5)
