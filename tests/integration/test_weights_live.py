"""What agents and slow start do to the weights in the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lvsagent.core.load_plan import LoadReading
from lvsagent.wire import CheckInfo, OverrideRequest
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


# --- load_monitor --------------------------------------------------------------------------------------------------------------

LOADED = HUNDRED.replace("scheduler = rr", "scheduler = wrr\n     load_monitor = uptime")


def hear(lab: Lab, **loads: float | str) -> None:
    """nanny has read these loads, or failed for these reasons."""
    lab.director.nanny.on_loads(
        [
            LoadReading(f"uptime 127.0.0.2{name[-1]}", told if isinstance(told, float) else None, "" if isinstance(told, float) else told)
            for name, told in loads.items()
        ]
    )


async def test_a_busy_host_gets_less_and_its_whole_weight_again_when_it_is_like_the_others(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        await lab.report("up")
        hear(lab, number1=9.0, number2=1.0, number3=1.0)
        await lab.director.step()
        assert number1(lab) == 20
        (virtual,) = (await lab.ask(lab.client.state, servers=True)).virtual_servers
        busy, calm = virtual.real_servers[:2]
        assert busy.reason == "load 9.00 by uptime, the others 1.00: 20% of its weight"
        assert (busy.weight, busy.configured_weight) == (20, 100)
        assert busy.load is not None
        assert (busy.load.load, busy.load.others, busy.load.share_percent, busy.load.host) == (9.0, 1.0, 20, "127.0.0.21")
        assert calm.reason == ""
        assert calm.load is not None
        assert calm.load.words == "load 1.00 by uptime, the others 5.00"
        receipt = await lab.ask(lab.client.put_config, lab.text(), if_match=(await lab.ask(lab.client.config)).etag, dry_run=True)
        assert receipt.steps == []
        await age(lab, 70)  # after so long the past counts no more
        hear(lab, number1=1.0, number2=1.0, number3=1.0)
        await lab.director.step()
        assert number1(lab) == 100
        assert not [event for event in (await lab.ask(lab.client.events)).events if event.kind == "repair"]


async def age(lab: Lab, seconds: float) -> None:
    """Every load was read so long ago."""
    book = lab.director.loads
    book._hosts = {key: replace(host, at=host.at - seconds) for key, host in book._hosts.items()}
    book._heard = {key: replace(heard, at=heard.at - seconds) for key, heard in book._heard.items()}


async def test_a_silent_hosts_weight_comes_back_and_the_reason_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        await lab.report("up")
        hear(lab, number1=9.0, number2=1.0, number3=1.0)
        await lab.director.step()
        assert not [alert for alert in (await lab.ask(lab.client.state)).alerts if alert.code == "load"]
        await age(lab, 70 + 150)
        hear(lab, number1="ssh: Connection refused", number2=1.0, number3=1.0)
        await lab.director.step()
        assert 55 <= number1(lab) <= 61
        state = await lab.ask(lab.client.state, servers=True)
        assert "(ssh: Connection refused): 60% of its weight for now, which grows back" in state.virtual_servers[0].real_servers[0].reason
        (alert,) = [alert for alert in state.alerts if alert.code == "load"]
        assert alert.message == "the load of 127.0.0.21 cannot be read and does not count: ssh: Connection refused"
        await lab.director.step()
        await age(lab, 400)
        hear(lab, number1="ssh: Connection refused", number2=1.0, number3=1.0)
        await lab.director.step()
        assert number1(lab) == 100
        hear(lab, number1=1.0)
        await lab.director.step()
        told = [event.message for event in (await lab.ask(lab.client.events)).events if "load" in event.message]
        assert told == ["the load of 127.0.0.21 can be read again", alert.message]


async def test_a_host_that_is_asked_no_more_is_no_alert_any_more(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        hear(lab, number1="ssh: Connection refused")
        assert "load" in {alert.code for alert in (await lab.ask(lab.client.state)).alerts}
        await age(lab, 200)
        assert "load" not in {alert.code for alert in (await lab.ask(lab.client.state)).alerts}


async def test_a_resting_standby_asks_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED, standby_checks=False) as lab:
        (nanny,) = lab.director.nanny._all
        assert len(nanny._loads or []) == 3
        lab.director.pulse.last_role = "standby"
        lab.director.pair.follow_role()
        assert nanny._loads == []
        lab.director.pulse.last_role = "active"
        lab.director.pair.follow_role()
        assert len(nanny._loads) == 3


async def test_an_operators_weight_goes_before_the_load_and_that_is_said(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        await lab.report("up")
        hear(lab, number1=9.0, number2=1.0, number3=1.0)
        await lab.ask(lab.client.override, OverrideRequest(action="weight", virtual="http", server="number1", weight=70))
        await lab.director.step()
        assert number1(lab) == 70
        server = (await lab.ask(lab.client.state, servers=True)).virtual_servers[0].real_servers[0]
        assert "it does not count while an operator has decided about this server" in server.reason


async def test_without_load_monitor_the_weight_is_whole_at_once_and_review_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        await lab.report("up")
        hear(lab, number1=9.0, number2=1.0, number3=1.0)
        await lab.director.step()
        etag = (await lab.ask(lab.client.config)).etag
        receipt = await lab.ask(lab.client.put_config, HUNDRED.replace("= rr", "= wrr"), if_match=etag, dry_run=True)
        assert [(step.what, step.name) for step in receipt.steps] == [("real server", "number1 of http (127.0.0.21:8080)")]
        await lab.ask(lab.client.put_config, HUNDRED.replace("= rr", "= wrr"), if_match=etag)
        assert number1(lab) == 100


async def test_a_restarted_lvsd_keeps_what_the_load_has_made_of_the_weights(tmp_path: Path) -> None:
    plane = FakeIpvs()
    async with running(tmp_path, LOADED, plane) as lab:
        await lab.report("up")
        hear(lab, number1=9.0, number2=1.0, number3=1.0)
        await lab.director.step()
    calls = len(plane.operations)
    async with running(tmp_path, LOADED, plane) as lab:
        assert number1(lab) == 20
        await lab.director.step()
        assert number1(lab) == 20
        assert len(plane.operations) == calls


async def test_explain_tells_the_load(tmp_path: Path) -> None:
    async with running(tmp_path, LOADED) as lab:
        hear(lab, number1="ssh: Connection refused")
        info = lab.director.loads.info_of("http/number1")
        assert info is not None
        assert (info.reason, info.share_percent, info.load) == ("ssh: Connection refused", 100, None)
        assert info.words == "the load of its host cannot be read (ssh: Connection refused)"
        unheard = lab.director.loads.info_of("http/number2")
        assert unheard is not None
        assert unheard.words == "the load of its host is not known yet"
        assert lab.director.loads.info_of("http/none") is None
