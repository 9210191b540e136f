"""Files that nobody wrote in good faith: bounded time, a report or a clear refusal, never a crash."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.lvscf import load
from app.lvscf.foreign import Imported, NotConvertible, Source, Verdict, guess, import_text
from app.lvscf.foreign.report import LARGEST_CHARACTERS
from tests.unit.lvscf.test_foreign_corpus import FILES, SOURCES

LIMIT_S = 20.0
"""Of processor time, for files of megabytes."""
_LINES = {source: [line for path in FILES if SOURCES[path.suffix] is source for line in path.read_text().splitlines()] for source in Source}
_ODD = [
    "{",
    "}",
    "{{{{",
    "}}}}",
    '"',
    "'",
    "\\",
    "$X=",
    "${X}",
    "$X",
    "#",
    "!",
    "@",
    "~SEQ(A,1,9) x",
    "=",
    "virtual=",
    "-A",
    "-a",
    "\udcff",
    "\t",
    "é",
]


def sound(text: str, source: Source) -> Imported | None:
    """Import it; whatever it is, what comes out is a whole report and an lvs.cf without errors."""
    try:
        imported = import_text(text, source)
    except NotConvertible:
        return None
    assert [line.number for line in imported.lines] == list(range(1, len(imported.lines) + 1))
    again = load(imported.text)
    assert again.ok
    assert again.config == imported.config
    return imported


@pytest.mark.parametrize("source", Source)
@settings(max_examples=150)
@given(data=st.data())
def test_lines_of_real_files_in_any_order_and_broken(source: Source, data: st.DataObject) -> None:
    line = st.one_of(st.sampled_from(_LINES[source]), st.sampled_from(_LINES[source]), st.sampled_from(_ODD))
    words = st.lists(st.one_of(line, st.sampled_from(_ODD)), min_size=1, max_size=2).map(" ".join)
    sound("\n".join(data.draw(st.lists(words, max_size=40))), source)


@pytest.mark.parametrize("source", Source)
@settings(max_examples=100)
@given(content=st.binary(max_size=300))
def test_any_bytes(source: Source, content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    guess(text)
    sound(text, source)


RULES = "".join(f"-A -t 10.1.{n // 250}.{n % 250}:80 -s rr\n" for n in range(2_000))
BLOCKS = "".join(f"virtual=10.{n // 250}.{n % 250}.1:80\n    real=10.0.0.1->10.0.0.255:80 gate\n" for n in range(500))
DOUBLING = "$A=x\n" + "".join(f"$A{n}=${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, 60)) + "virtual_server ${A59} 80 {\n}\n"
GROUP = "virtual_server_group G {\n" + "".join(f"10.{n}.0.0/24 80\n" for n in range(200)) + "}\nvirtual_server group G {\nlb_algo rr\n}\n"
SUBSTITUTIONS = "${" * 7_000 + "\n" + ("${" * 500 + "\n") * 1_000
HUGE = {
    **{f"one long line, {source}": (source, "virtual " + "x" * 3_000_000) for source in Source},
    **{f"an open quote, {source}": (source, '"' + "x\n" * 100_000) for source in Source},
    **{f"backslashes, {source}": (source, "\\\n" * 100_000) for source in Source},
    "open braces": (Source.KEEPALIVED, "virtual_server 192.0.2.1 80 {\n" + "a {" * 300_000),
    "closing braces": (Source.KEEPALIVED, "}" * 1_000_000),
    "open substitutions": (Source.KEEPALIVED, SUBSTITUTIONS),
    "definitions that double": (Source.KEEPALIVED, DOUBLING),
    "a definition of itself": (Source.KEEPALIVED, "$A=$A $A\n" + "a $A\n" * 2_000),
    "the same server": (Source.KEEPALIVED, "virtual_server 192.0.2.1 80 {\n" + "real_server 10.0.0.1 80 {\n}\n" * 20_000 + "}\n"),
    "ranges": (Source.KEEPALIVED, GROUP),
    "virtuals": (Source.LDIRECTORD, BLOCKS),
    "rules": (Source.IPVSADM, RULES + "-a -t 10.1.0.1:80 -r 10.0.0.1:80 -m\n" * 10_000),
    "quotes in rules": (Source.IPVSADM, "-A -t '" + "'" * 4_000 + "\n" * 100),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_and_deep_files_take_bounded_time(name: str) -> None:
    source, text = HUGE[name]
    began = time.process_time()
    sound(text, source)
    assert time.process_time() - began < LIMIT_S


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("virtual_server\0", "NUL bytes"),
        ("x" * (LARGEST_CHARACTERS + 1), "too large"),
        ("nothing that is known\n", "say which it is"),
    ],
)
def test_what_cannot_be_a_configuration_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(NotConvertible, match=words):
        import_text(text)


def test_an_unclosed_block_is_said_and_the_rest_is_read() -> None:
    imported = sound("virtual_server 192.0.2.1 80 {\n  lb_algo rr\n  real_server 10.0.0.1 80 {\n    weight 2\n", Source.KEEPALIVED)
    assert imported
    assert [line.verdict for line in imported.lines] == [Verdict.ERROR, Verdict.BECAME, Verdict.ERROR, Verdict.BECAME]
    assert "is not closed" in imported.lines[0].words
    assert imported.config.virtual[0].servers[0].weight == 2
