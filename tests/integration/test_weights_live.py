"""What agents and slow start do to the weights in the table."""

from __future__ import annotations

from pathlib import Path

from lvsagent.wire import CheckInfo
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import TUTORIAL, Lab, running

HUNDRED = TUTORIAL.replace("weight = 1", "weight = 100")
SERVICE = "TCP 127.0.0.100:80"


def number1(lab: Lab) -> int:
    (servers,) = lab.weights().values()
    return servers["127.0.0.21:8080"]


def say(lab: Lab, state: str, **fields: int | str | float) -> None:
    """nanny reports number1."""
    spec = next(spec for spec in lab.director.running.expansion.checks if spec.key == "http/number1")
    info = CheckInfo(key=spec.key, target=spec.target, what="", state=state, last_at=1.0, **fields)  # type: ignore[arg-type]
    lab.director.nanny._on_report([info])


async def test_an_agents_percentage_is_in_the_table_with_the_next_round_and_is_no_repair(tmp_path: Path) -> None:
    async with running(tmp_path, HUNDRED) as lab:
        await lab.report("up")
        say(lab, "up", share_percent=30)
        await lab.director.step()
        assert number1(lab) == 30
        (virtual,) = (await lab.ask(lab.client.state, servers=True)).virtual_servers
        assert virtual.real_servers[0].reason == "its agent wants 30%"
        receipt = await lab.ask(lab.client.put_config, lab.text(), if_match=(await lab.ask(lab.client.config)).etag, dry_run=True)
        assert receipt.steps == []
        say(lab, "up", share_percent=0)
        await lab.director.step()
        assert number1(lab) == 0
        say(lab, "up", share_percent=100)
        await lab.director.step()
        assert number1(lab) == 100
        assert not [event for event in (await lab.ask(lab.client.events)).events if event.kind == "repair"]


async def test_what_an_agent_wants_outlives_a_restart_of_everything(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, HUNDRED, plane) as lab:
        await lab.report("up")
        say(lab, "up", share_percent=0)
        await lab.director.step()
    async with running(tmp_path, HUNDRED, plane) as lab:
        assert number1(lab) == 0
        await lab.report("up")  # a new nanny, which has checked nothing yet
        await lab.director.step()
        assert number1(lab) == 0
        say(lab, "up")
        await lab.director.step()
        assert number1(lab) == 100


async def test_a_server_that_comes_back_gets_its_weight_little_by_little(tmp_path: Path) -> None:
    text = HUNDRED.replace("scheduler = rr", "scheduler = wrr\n     slow_start = 100")
    async with running(tmp_path, text) as lab:
        await lab.report("up")
        assert number1(lab) == 100  # up at once at the start, as in Piranha
        await lab.report("down", "number1")
        await lab.report("up", "number1")
        assert number1(lab) == 3
        sides = lab.director.book.sides
        began = sides._ramps["http/number1"].began
        assert began is not None
        sides._ramps["http/number1"].began = began - 50
        await lab.director.step()
        assert 50 <= number1(lab) <= 55
        sides._ramps["http/number1"].began = began - 100
        await lab.director.step()
        assert number1(lab) == 100
        assert not [event for event in (await lab.ask(lab.client.events)).events if event.kind == "repair"]


async def test_certificates_and_the_brake_are_alerts(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        say(lab, "up", warning="the certificate ends in 9 days")
        alerts = {alert.code: alert for alert in (await lab.ask(lab.client.state)).alerts}
        assert alerts["check-warning"].message == "http/number1: the certificate ends in 9 days"
        say(lab, "falling", kept_until=2e9)
        alerts = {alert.code: alert for alert in (await lab.ask(lab.client.state)).alerts}
        assert alerts["mass-failure"].severity == "error"
        assert "http/number1 failed at once and is kept in service until" in alerts["mass-failure"].message
