"""Lines with numbers: all of a small file, of a large one the places that matter."""

from __future__ import annotations

from app.lvscf import load
from app.numbered import AROUND, PLACES, head, numbered
from lvsagent.wire import DiagnosticInfo


def finding(line: int, severity: str = "error") -> DiagnosticInfo:
    return DiagnosticInfo(severity=severity, code="x", line=line, message=f"about {line}")


def test_a_small_file_comes_whole_with_what_is_said_beside_its_line() -> None:
    lines = numbered("a\r\nb\udcff\n", [finding(2, "warning"), finding(2)])
    assert [(one.number, one.text, one.severity) for one in lines] == [(1, "a", ""), (2, "b\\xff", "error")]
    assert [one.message for one in lines[1].findings] == ["about 2", "about 2"]


def test_of_a_large_file_only_the_places_with_findings_come() -> None:
    lines = numbered("x\n" * 5000, [finding(1), finding(4000)])
    assert [one.number for one in lines] == [*range(1, 2 + AROUND), *range(4000 - AROUND, 4001 + AROUND)]
    assert [one.skipped for one in lines if one.skipped] == [4000 - AROUND - 2 - AROUND]


def test_a_file_with_an_error_in_every_line_is_bounded() -> None:
    lines = numbered("x\n" * 100_000, [finding(number) for number in range(1, 100_001)])
    assert len(lines) == PLACES + AROUND


def test_a_finding_about_no_line_does_no_harm() -> None:
    assert [one.findings for one in numbered("x\n", [finding(0), finding(7)])] == [()]


def test_the_file_of_a_diagnostic_and_of_the_page_count_lines_alike() -> None:
    text = "serial_no = 1\n\x0b\x0c\u2028\nnonsense = 1\n"
    lines = numbered(text, load(text).diagnostics)
    assert next(one for one in lines if one.severity == "error" and "nonsense" in one.text).number == 3


def test_the_head_of_a_text() -> None:
    assert [one.text for one in head("a\nb\n", 5)[0]] == ["a", "b"]
    assert head("a\nb\n", 2)[1] == 0
    shown, rest = head("a\nb\nc\nd", 2)
    assert ([one.text for one in shown], rest) == (["a", "b"], 2)
    assert head("", 2) == ([], 0)
