"""The doctor through the API and lvsctl: who is looked at, one examination at a time, and what is said when nobody can look."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lvsagent.client import AgentRefused
from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Seen
from lvsagent.ctl import run_command
from lvsagent.wire import DoctorReport
from tests.integration.lvsd_lab import TUTORIAL, Lab, running
from tests.waiting import until

DIRECT = TUTORIAL.replace("network = nat", "network = direct")
SILENT = Heard(Answer.SILENCE)
MISSING = Seen(service=SILENT, ping=SILENT, mtu=1500, room=1500, director="127.0.0.1")


async def doctor(lab: Lab, *arguments: str) -> int:
    return await lab.ask(run_command, ["--socket", str(lab.settings.agent_socket), "doctor", *arguments])


async def ended(lab: Lab, virtual: str = "http") -> DoctorReport:
    await lab.ask(until, lambda: lab.client.doctor(virtual).state in {"done", "failed"})
    return await lab.ask(lab.client.doctor, virtual)


async def test_lvsctl_says_what_is_missing_and_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, DIRECT) as lab:
        lab.examiner.sights["number2"] = MISSING
        assert await doctor(lab) == 1
        told = capsys.readouterr().out.splitlines()
        assert told[0] == "number1 of http (127.0.0.21, direct): all that can be seen is in order"
        assert told[1] == "number2 of http (127.0.0.22, direct):"
        assert told[2].startswith("  most likely it does not answer a connection to 127.0.0.100 port 80")
        assert told[3:5] == ["  Run on number2:", "    sysctl -w net.ipv4.conf.all.arp_ignore=1"]
        assert told[6] == "    ip address replace 127.0.0.100/32 dev lo"
        assert told[7] == "  So that it stays so when it is started again:"


async def test_one_real_server_can_be_asked_for_and_json_says_how_sure_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, DIRECT) as lab:
        lab.examiner.sights["number2"] = MISSING
        assert await doctor(lab, "number3", "--json") == 0
        assert [(one["server"], one["findings"]) for one in json.loads(capsys.readouterr().out)] == [("number3", [])]
        assert await doctor(lab, "number2", "--json") == 1
        [number2] = json.loads(capsys.readouterr().out)
        assert [(one["wrong"], one["sure"], len(one["commands"]), len(one["keep"])) for one in number2["findings"]] == [
            (True, "likely", 3, 3)
        ]
        assert await doctor(lab, "nobody") == 1
        assert "no virtual server and no real server is called nobody" in capsys.readouterr().err


async def test_without_real_servers_there_is_nobody_to_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, TUTORIAL[: TUTORIAL.index("     server number1")] + "}\n") as lab:
        assert await doctor(lab) == 0
        assert capsys.readouterr().out.startswith("There is nobody to look at")


async def test_one_virtual_server_is_looked_at_at_a_time(tmp_path: Path) -> None:
    async with running(
        tmp_path, DIRECT + DIRECT[DIRECT.index("virtual http") :].replace("http", "https").replace("= 80\n", "= 443\n")
    ) as lab:
        lab.examiner.held = True
        assert (await lab.ask(lab.client.examine, "http")).state == "running"
        for name in ("http", "https"):
            with pytest.raises(AgentRefused, match="the real servers of http are being looked at"):
                await lab.ask(lab.client.examine, name)
        now = await lab.ask(lab.client.doctor, "http")
        assert (now.state, now.looked, now.total, now.busy) == ("running", 2, 3, "")
        assert (await lab.ask(lab.client.doctor, "https")).busy == "http"
        lab.examiner.go.set()
        assert (await ended(lab)).looked == 3
        lab.examiner.held = False
        assert (await lab.ask(lab.client.examine, "https")).state == "running"


async def test_lvsctl_waits_for_an_examination_that_somebody_else_has_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, DIRECT) as lab:
        lab.examiner.held = True
        await lab.ask(lab.client.examine, "http", actor="piranha")
        asked = asyncio.ensure_future(doctor(lab, "http"))
        await lab.ask(until, lambda: lab.client.doctor("http").actor == "piranha")
        assert not asked.done()
        lab.examiner.go.set()
        assert await asked == 0
        assert (await lab.ask(lab.client.doctor, "http")).actor != "piranha"
        assert capsys.readouterr().err == ""


async def test_a_report_says_that_lvs_cf_has_changed_since(tmp_path: Path) -> None:
    async with running(tmp_path, DIRECT) as lab:
        await lab.ask(lab.client.examine, "http", actor="piranha")
        report = await ended(lab)
        assert (report.state, report.in_step, report.actor, len(report.results)) == ("done", True, "piranha", 3)
        etag = (await lab.ask(lab.client.config)).etag
        await lab.ask(lab.client.put_config, DIRECT.replace("weight = 1", "weight = 2"), if_match=etag)
        assert not (await lab.ask(lab.client.doctor, "http")).in_step


async def test_what_cannot_be_looked_at_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path, DIRECT) as lab:
        with pytest.raises(AgentRefused, match="there is no virtual server ftp"):
            await lab.ask(lab.client.examine, "ftp")
        assert (await lab.ask(lab.client.doctor, "ftp")).state == "never"
        lab.examiner.refusal = "looking at real servers takes raw packets"
        assert await doctor(lab) == 1
        assert capsys.readouterr().err == "lvsctl: http: looking at real servers takes raw packets\n"
        assert (await ended(lab)).state == "failed"


async def test_a_sight_that_makes_no_sense_is_a_failure_and_ends_the_examination(tmp_path: Path) -> None:
    async with running(tmp_path, DIRECT) as lab:
        heard = Heard(Answer.ACCEPTED, "127.0.0.100")
        lab.examiner.sights["number1"] = Seen(service=heard, ping=heard, passes=1, room=2, mtu=2, director="$(reboot)")
        await lab.ask(lab.client.examine, "http")
        report = await ended(lab)
        assert (report.state, report.results, report.failure.startswith("what was seen makes no sense")) == ("failed", [], True)


async def test_the_demonstration_plane_has_nothing_to_look_at(tmp_path: Path) -> None:
    async with running(tmp_path, DIRECT, dataplane="userspace") as lab:
        with pytest.raises(AgentRefused, match="demonstration data plane"):
            await lab.ask(lab.client.examine, "http")


async def test_an_end_of_lvsd_ends_an_examination(tmp_path: Path) -> None:
    async with running(tmp_path, DIRECT) as lab:
        lab.examiner.held = True
        await lab.ask(lab.client.examine, "http")
        examiner = lab.examiner
    assert examiner.closed
