"""lvsctl doctor where there is nothing to do for it, and where it may not look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvsagent.ctl import run_command
from tests.integration.lvsd_lab import TUTORIAL, Lab, running


async def doctor(lab: Lab, *arguments: str) -> int:
    return await lab.ask(run_command, ["--socket", str(lab.settings.agent_socket), "doctor", *arguments])


async def test_with_nat_there_is_nobody_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path) as lab:
        assert await doctor(lab) == 0
        assert capsys.readouterr().out.startswith("There is nobody to look at")
        assert await doctor(lab, "--json") == 0
        assert capsys.readouterr().out == "[]\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="raw packets need root")
async def test_a_server_that_cannot_be_reached_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, TUTORIAL.replace("network = nat", "network = direct")) as lab:
        assert await doctor(lab, "number2") == 1
        told = capsys.readouterr().out.splitlines()
        assert told[0] == "number2 of http (127.0.0.22, direct):"
        assert "no hardware address on this director's networks" in told[1]
