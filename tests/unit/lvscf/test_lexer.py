"""A line's kind, words and faults, by its text alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.lvscf.lexer import Kind, _lex_words, lex, tokenize, unquoted


@pytest.mark.parametrize("line", ["", "  ", "\t", "# x", "   # x = 5", "\r", "  \r", "#"])
def test_blank_lines_and_comments_say_nothing(line: str) -> None:
    assert lex(line).kind is Kind.BLANK


@pytest.mark.parametrize("line", ["}", "  }", "} # done", "}anything", "} port = 80", "}\r"])
def test_what_follows_a_closing_brace_is_ignored(line: str) -> None:
    read = lex(line)
    assert (read.kind, read.problems) == (Kind.CLOSE, ())


@pytest.mark.parametrize(
    ("line", "word", "args"),
    [
        ("a = 5", "a", ("5",)),
        ("\ta\t=\t5\t", "a", ("5",)),
        ("a =   5", "a", ("5",)),
        ("a = 5\r", "a", ("5",)),
        ('a = "x y"', "a", ('"x y"',)),
        ('a = "x y" ', "a", ('"x y"',)),
        ("a = 'x \" y'", "a", ("'x \" y'",)),
        ('a = "# { } \'"', "a", ('"# { } \'"',)),
        ('a = ""', "a", ('""',)),
        ("a = NONE#x", "a", ("NONE#x",)),
        ("a = #x", "a", ("#x",)),
        ("a = =", "a", ("=",)),
        ("a = b eth0:1", "a", ("b", "eth0:1")),
        ('a = x"y z"', "a", ('x"y', 'z"')),
        ("a = x\u00a0y", "a", ("x\u00a0y",)),
        ("a = x\fy", "a", ("x\fy",)),
    ],
)
def test_a_directive_is_a_word_an_equals_sign_and_what_follows(line: str, word: str, args: tuple[str, ...]) -> None:
    read = lex(line)
    assert (read.kind, read.word, read.args, read.problems) == (Kind.DIRECTIVE, word, args, ())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("a=5", "equals-needs-blanks"),
        ("a= 5", "equals-needs-blanks"),
        ("a =5", "equals-needs-blanks"),
        ("a", "missing-equals"),
        ("a 5", "missing-equals"),
        ("a =", "missing-value"),
        ("a = \r", "missing-value"),
        ('a = "b', "unclosed-quote"),
        ("a = 'b\"", "unclosed-quote"),
        ('a = "', "unclosed-quote"),
        ('a = "b"c', "text-after-quote"),
        ('a = "b" "c', "unclosed-quote"),
        ("a = b\0", "nul-byte"),
    ],
)
def test_a_line_that_cannot_be_read_says_why_and_is_not_usable(line: str, code: str) -> None:
    read = lex(line)
    assert [problem.code for problem in read.problems] == [code]
    assert not read.usable


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("virtual a {", "a"),
        ("  failover a {\r", "a"),
        ('server "a b" {', '"a b"'),
        ("server 'a \" b' {", "'a \" b'"),
        ("virtual { {", "{"),
        ("virtual ü {", "ü"),
    ],
)
def test_a_block_opens_with_three_words(line: str, name: str) -> None:
    read = lex(line)
    assert (read.kind, read.args, read.problems, read.usable) == (Kind.OPEN, (name,), (), True)


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        ("virtual a{", Kind.OPEN, "brace-needs-blank"),
        ('virtual "a b"{', Kind.OPEN, "brace-needs-blank"),
        ("virtual a", Kind.OPEN, "missing-brace"),
        ("virtual {", Kind.OPEN, "missing-name"),
        ("virtual", Kind.OPEN, "missing-name"),
        ('virtual "" {', Kind.OPEN, "missing-name"),
        ("virtual a b {", Kind.OPEN, "surplus-text"),
        ("virtual a { }", Kind.BAD, "one-line-block"),
        ("virtual a { port = 80 }", Kind.BAD, "one-line-block"),
        ("virtual = a", Kind.BAD, "missing-brace"),
        ('virtual "a {', Kind.OPEN, "unclosed-quote"),
        ("{ x", Kind.BRACE, "surplus-text"),
    ],
)
def test_half_a_head_says_what_it_lacks(line: str, kind: Kind, code: str) -> None:
    read = lex(line)
    assert (read.kind, [problem.code for problem in read.problems], read.usable) == (kind, [code], False)


@pytest.mark.parametrize("line", ["a = 5 # x", "a = 5 #x", "virtual a { # x", 'a = "b" # x'])
def test_a_comment_behind_a_value_is_accepted_with_a_warning(line: str) -> None:
    read = lex(line)
    assert [problem.code for problem in read.problems] == ["inline-comment"]
    assert read.usable


@pytest.mark.parametrize(
    ("line", "warned"), [('a = "xy" ', True), ("a = 'xy'\t", True), ('a = "x y" ', False), ('a = "xy"', False), ("a = xy ", False)]
)
def test_a_blank_behind_a_quoted_word_is_what_piranha_calls_a_mismatch(line: str, *, warned: bool) -> None:
    assert [problem.code for problem in lex(line).problems] == (["quote-then-blank"] if warned else [])


@given(st.text("ab=\"'# \t{}\r\0é", max_size=12) | st.sampled_from(["virtual = a", "server a {", "failover x {\r"]))
def test_the_short_cuts_for_common_lines_read_them_as_all_others(line: str) -> None:
    quick, thorough = lex(line), _lex_words(line.removesuffix("\r"))
    assert (quick.kind, quick.word, quick.args) == (thorough.kind, thorough.word, thorough.args)


def test_tokens_know_their_places() -> None:
    assert [(token.raw, token.start, token.end) for token in tokenize('  a = "b c" d\r')] == [
        ("a", 2, 3),
        ("=", 4, 5),
        ('"b c"', 6, 11),
        ("d", 12, 13),
    ]


@pytest.mark.parametrize(("raw", "text"), [('"a"', "a"), ("'a'", "a"), ('""', ""), ('"', '"'), ("a", "a"), ("\"a'", "\"a'")])
def test_quotes_come_off_in_pairs(raw: str, text: str) -> None:
    assert unquoted(raw) == text
