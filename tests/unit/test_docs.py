"""The documentation leads where it says it leads."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from app.lvscf import CheckKind
from lvsagent import ctl

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]
TARGET = re.compile(r"(?:\]\(|src(?:set)?=\")([^)\"#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_the_project_has_its_file(page: Path) -> None:
    links = [link for link in TARGET.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_that_the_documentation_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b(?=`|\s+[a-z]+ it|  )", page.read_text())}
    assert named - targets == set()


def test_every_command_of_lvsctl_is_in_its_documentation() -> None:
    commands = next(action.choices for action in ctl._parser()._actions if isinstance(action, argparse._SubParsersAction))
    documented = set(re.findall(r"`([a-z]+)[ `]", (ROOT / "docs" / "lvsctl.md").read_text()))
    assert set(commands) - documented == set()


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_kind_of_check_has_its_section() -> None:
    headings = re.findall(r"^### (\S+)$", (ROOT / "docs" / "checks.md").read_text(), re.MULTILINE)
    assert headings == [kind.value for kind in CheckKind]
