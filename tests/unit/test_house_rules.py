"""Rules of the house that no linter knows: no shell is ever started, no module is too long, and nothing depends on one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("app", "lvsagent", "deploy")
LONGEST_MODULE = 400
"""In lines: who has to read more than that at once does not see what is wrong."""
SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "csh", "busybox"}
STARTS_A_SHELL = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "subprocess_shell"}


def product_sources() -> list[Path]:
    return [path for room in PRODUCT for path in sorted((ROOT / room).rglob("*.py"))]


def test_no_module_of_the_product_is_longer_than_one_can_read_at_once() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in product_sources()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def shells_in(source: str) -> Iterator[str]:
    """Every way in which Python text could start a shell: by name of the function, by ``shell=``, by naming a shell as a program."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in STARTS_A_SHELL:
                yield f"line {node.lineno}: {name}()"
            for keyword in node.keywords:
                if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
                    yield f"line {node.lineno}: shell="
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if first_word(argument) in SHELLS:
                    yield f"line {node.lineno}: a shell as a program"
        elif isinstance(node, ast.expr) and (program := first_word(node)).startswith("/") and Path(program).name in SHELLS:
            yield f"line {node.lineno}: {program} as a program"


def first_word(argument: ast.expr) -> str:
    """What stands first in a list of words: the program, if somebody starts it."""
    words = argument.value if isinstance(argument, ast.Starred) else argument
    first = words.elts[0] if isinstance(words, ast.List | ast.Tuple) and words.elts else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


@pytest.mark.parametrize("path", product_sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_never_starts_a_shell(path: Path) -> None:
    assert list(shells_in(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "subprocess.run(words, shell=True)",
        "subprocess.run(words, shell=flag)",
        "os.system(words)",
        "os.popen(words)",
        "asyncio.create_subprocess_shell(words)",
        "subprocess.getoutput(words)",
        "subprocess.run(['/bin/sh', '-c', words])",
        "asyncio.create_subprocess_exec(*('bash', '-c', words))",
        "argv = ['/bin/sh', '-c', words]",
    ],
)
def test_the_rule_catches_every_way_to_start_a_shell(line: str) -> None:
    assert list(shells_in(line))


def committed_texts() -> Iterator[tuple[str, str]]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            yield name, path.read_bytes().decode("utf-8", "replace")


def test_no_committed_file_names_a_package_registry() -> None:
    registries = re.compile(r"pypi\.(?:org|python)|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)|index-url|find-links")
    named = [name for name, text in committed_texts() if registries.search(text) and name != "tests/unit/test_house_rules.py"]
    assert named == []


def test_no_committed_file_names_a_folder_of_the_machine_it_was_made_on() -> None:
    here = re.compile(rf"(?<![\w.-]){re.escape(str(ROOT))}(?![\w-])|(?<![\w.-])/{'work'}/")
    assert [name for name, text in committed_texts() if here.search(text)] == []


def test_every_direct_library_is_pinned_in_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in wanted} - pinned == set()


def test_constraints_are_exact_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+]+", line)] == []
