"""A program that pulse runs: argv as given, a clean environment, a time limit, and nothing of it left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import monotonic

import pytest

from lvsagent.adapters.commands import OUTPUT_LIMIT_BYTES, run_command
from tests.waiting import until

PYTHON = os.path.realpath(sys.executable)


async def test_its_exit_status_and_output_are_told() -> None:
    result = await run_command([PYTHON, "-c", "import sys; print('done'); print('badly', file=sys.stderr); sys.exit(3)"], 10)
    assert (result.ok, result.words) == (False, "exit status 3")
    assert {"done", "badly"} == set(result.output.split())
    assert (await run_command(["/bin/true"], 10)).ok


async def test_a_program_of_which_no_more_than_so_much_is_wanted_is_ended_when_it_says_more() -> None:
    result = await run_command(["/usr/bin/yes"], 60, limit_bytes=1000, patient=False)
    assert (result.ok, result.words) == (False, "killed after 1000 bytes of output")
    assert result.output == ("y\n" * 500).strip()
    result = await run_command([PYTHON, "-c", "print('y' * 999)"], 60, limit_bytes=1000, patient=False)
    assert (result.ok, result.words, len(result.output)) == (True, "exit status 0", 999)


async def test_a_program_that_can_wait_stands_behind_the_others() -> None:
    program = "import os, sys; sys.stdin.read(); print(os.nice(0))"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert (await run_command([PYTHON, "-c", program], 10, said="go", niceness=3)).output == str(min(own + 3, 19))
    assert (await run_command([PYTHON, "-c", program], 10, said="go")).output == str(own)


async def test_arguments_are_words_and_never_a_shells() -> None:
    words = ["$HOME", "`id`", "a b", "; id", "*", "'"]
    result = await run_command([PYTHON, "-c", "import sys; print(sys.argv[1:])", *words], 10)
    assert result.output == str(words)


async def test_it_inherits_no_environment_no_input_and_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("SECRET", "x")
    program = "import os, sys; print(sorted(os.environ), os.getcwd(), repr(sys.stdin.read()), len(os.listdir('/proc/self/fd')))"
    result = await run_command([PYTHON, "-I", "-c", program], 10)
    assert result.output.startswith("['LANG', ")
    assert "SECRET" not in result.output
    assert "LD_PRELOAD" not in result.output
    assert result.output.endswith("/ '' 4")  # 0, 1, 2 and the folder being listed


async def test_at_its_time_limit_it_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    program = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.fork() or os.getpid())).touch(); time.sleep(60)"
    began = monotonic()
    result = await run_command([PYTHON, "-c", program, str(tmp_path)], 1)
    assert (result.ok, result.words) == (False, "killed after 1 s")
    assert monotonic() - began < 10
    started = noted(tmp_path)
    assert started
    until(lambda: not any(alive(pid) for pid in started))


def noted(folder: Path) -> list[int]:
    """Processes that left a file named after them."""
    return [int(path.name) for path in folder.iterdir()]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_what_it_leaves_running_does_not_outlive_it(tmp_path: Path) -> None:
    program = "import os, pathlib, sys, time; pid = os.fork(); pid and pathlib.Path(sys.argv[1], str(pid)).touch(); pid or time.sleep(60)"
    assert (await run_command([PYTHON, "-c", program, str(tmp_path)], 30)).ok
    (left,) = noted(tmp_path)
    until(lambda: not alive(left))


async def test_much_output_is_cut_not_kept() -> None:
    result = await run_command([PYTHON, "-c", "print('x' * 1000000)"], 10)
    assert result.ok
    assert len(result.output) == OUTPUT_LIMIT_BYTES


@pytest.mark.parametrize("argv", [["/nowhere/at-all"], ["/etc/passwd"], ["/"], ["/bin/true", "a\0b"]])
async def test_one_that_cannot_be_started_is_said_in_words(argv: list[str]) -> None:
    result = await run_command(argv, 1)
    assert not result.ok
    assert result.words.startswith("could not be started: ")


async def test_one_that_is_killed_is_said_so() -> None:
    result = await run_command([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], 10)
    assert result.words == "killed by signal 9"
