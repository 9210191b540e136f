"""Whole foreign files, each with what came of its lines in a ``.report`` and the lvs.cf that it made in a ``.lvs`` beside it.

``python -m tests.unit.lvscf.test_foreign_corpus`` writes both anew; read the difference before you keep it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.lvscf import load
from app.lvscf.foreign import Imported, Source, Verdict, guess, import_text, keepalived_checks, keepalived_words, ldirectord

FOLDER = Path(__file__).parents[2] / "corpus" / "foreign"
SOURCES = {".conf": Source.KEEPALIVED, ".cf": Source.LDIRECTORD, ".rules": Source.IPVSADM}
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in SOURCES)


def read(path: Path) -> Imported:
    return import_text(path.read_text(encoding="utf-8"), SOURCES[path.suffix])


def report(imported: Imported) -> str:
    lines = [f"{line.number} {line.verdict}: {line.words}" for line in imported.lines if line.verdict is not Verdict.STRUCTURE]
    return "".join(f"{line}\n" for line in (*lines, *(f"- {remark}" for remark in imported.remarks)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_became_of_each_line(path: Path) -> None:
    assert report(read(path)) == path.with_suffix(".report").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_lvs_cf_that_it_makes(path: Path) -> None:
    imported = read(path)
    assert imported.text == path.with_suffix(".lvs").read_text(encoding="utf-8")
    again = load(imported.text)
    assert again.ok
    assert again.config == imported.config


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_has_a_verdict_and_those_with_something_to_say_have_words(path: Path) -> None:
    imported = read(path)
    assert len(imported.lines) == len(path.read_text(encoding="utf-8").splitlines())
    for line in imported.lines:
        assert line.words or line.verdict is Verdict.STRUCTURE
        assert line.words != "this line is not understood"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_whose_it_is_can_be_guessed(path: Path) -> None:
    if path.stem != "ip-broken":
        assert guess(path.read_text(encoding="utf-8")) is SOURCES[path.suffix]


def test_the_corpus_has_every_directive_of_keepalived_that_is_known() -> None:
    words = {word for path in FILES if path.suffix == ".conf" for word in path.read_text().replace("{", " ").split()}
    known = {
        *keepalived_words.GLOBAL_DEFS,
        *keepalived_words.VRRP,
        *keepalived_words.SYNC_GROUP,
        *keepalived_words.SERVICE,
        *keepalived_words.TOP,
        *keepalived_checks.CHECKERS,
        *keepalived_checks.READ,
        *keepalived_checks.LOST,
    }
    assert known - words == set()


def test_the_corpus_has_every_directive_of_ldirectord_that_is_known() -> None:
    words = {line.partition("=")[0].strip() for path in FILES if path.suffix == ".cf" for line in path.read_text().splitlines()}
    assert {*ldirectord.CHECKS, *ldirectord.ELSEWHERE} - words == set()


if __name__ == "__main__":
    for each in FILES:
        made = read(each)
        each.with_suffix(".report").write_text(report(made), encoding="utf-8")
        each.with_suffix(".lvs").write_text(made.text, encoding="utf-8")
