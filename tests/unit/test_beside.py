"""Tests in a second process: each outcome is shown here as it was there, and one that ends early fails what it had not done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.beside import ROOT
from tests.outcomes import OUTCOMES

HERE = "def test_here():\n    pass\n"
THERE = f"""
import os
{OUTCOMES}
@pytest.mark.parametrize("words", ["a b", "x::y[0]", "\\r\\n"])
def test_any_name(words):
    assert words
"""
ENDS = """
def test_ends():
    os._exit(3)

def test_comes_too_late():
    pass
"""


@pytest.fixture
def folders() -> Iterator[Path]:
    """Two folders of tests in this checkout, for a pytest of their own."""
    folder = Path(__file__).with_name(f"self_check_{os.getpid()}")
    try:
        for name in ("here", "there"):
            (folder / name).mkdir(parents=True)
        (folder / "here" / "test_self_here.py").write_text(HERE)
        yield folder
    finally:
        shutil.rmtree(folder)


def run(folder: Path, source: str) -> str:
    (folder / "there" / "test_self_there.py").write_text(source)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "-v", f"--beside={folder / 'there'}", str(folder)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100).stdout


def test_every_outcome_beside_is_this_processs_own(folders: Path) -> None:
    shown = run(folders, THERE)
    for name, outcome in (("here", "PASSED"), ("passes", "PASSED"), ("fails", "FAILED"), ("errs", "ERROR"), ("skips", "SKIPPED")):
        assert re.search(rf"test_{name} {outcome}", shown), shown
    assert shown.index("test_here") < shown.index("test_passes")
    assert "what it printed" in shown
    assert "a fixture that breaks" in shown
    assert "not shown" not in shown
    assert "1 failed, 5 passed, 1 skipped, 1 error" in shown


def test_one_that_ends_early_fails_what_it_had_not_done(folders: Path) -> None:
    shown = run(folders, THERE + ENDS)
    assert "test_any_name[a b] PASSED" in shown
    assert "test_ends FAILED" in shown
    assert "test_comes_too_late FAILED" in shown
    assert shown.count("the tests that ran beside these have ended") >= 2
    assert "its last words are with the first test" in shown
