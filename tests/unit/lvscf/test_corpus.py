"""Whole files, each with what is to be said about it in a ``.expected`` file beside it: one ``LINE severity code`` a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.lvscf import Loaded, diff, load, parse, read, write

CORPUS = Path(__file__).parents[2] / "corpus"
FILES = sorted(CORPUS.glob("*.cf"))


def loaded(path: Path) -> Loaded:
    return load(path.read_bytes().decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_said_about_it(path: Path) -> None:
    found = [f"{item.line} {item.severity} {item.code}" for item in loaded(path).diagnostics]
    assert found == path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_comes_back_byte_for_byte(path: Path) -> None:
    content = path.read_bytes()
    assert str(loaded(path).document).encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_edit_is_one_line(path: Path) -> None:
    """The counter goes up by one, as with every change from the console."""
    file = loaded(path)
    settings = replace(file.config.globals, serial_no=file.config.globals.serial_no + 1)
    written = write(file.document, replace(file.config, globals=settings))
    old, new = str(file.document).split("\n"), written.split("\n")
    has_serial = any(line.lstrip("\ufeff").startswith("serial_no") for line in old)
    assert len(new) == len(old) + (not has_serial)
    assert sum(line not in old for line in new) == 1
    assert [change.words for change in diff(file.config, read(parse(written)).config)] == [
        f"serial_no {settings.serial_no - 1} → {settings.serial_no}"
    ]
