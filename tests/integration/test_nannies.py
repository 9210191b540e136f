"""Several nannies: lvsd's side over their real sockets, and the whole agent with real processes that are killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lvsagent import channel
from lvsagent.client import AgentDown, AgentRefused
from lvsagent.core.known import Known, Relapses
from lvsagent.core.load_plan import LoadReading
from lvsagent.core.spread import nanny_of
from lvsagent.messages import (
    NannyConfigure,
    NannyExplain,
    NannyExplained,
    NannyKeep,
    NannyLoads,
    NannyReadLoads,
    NannyRelease,
    NannyReport,
    NannyTrial,
    NannyTrialDone,
    ToNanny,
    TrialOutcome,
)
from lvsagent.wire import CheckInfo, CheckResult, RealServerState, TrialRequest
from tests.fakes.ipvs import FakeIpvs
from tests.integration.lvsd_lab import Lab, running
from tests.stack import Stack, free_port, running_stack, wait_for_agent
from tests.waiting import until

HOSTS = [f"127.0.0.{number}" for number in range(21, 29)]
OF = {host: nanny_of(host, 2) for host in HOSTS}
SERVER = """\
     server {name} {{
         address = {host}
         port = {port}
         active = 1
     }}
"""


def lvs_cf(port: int, *, services: tuple[str, ...] = ("a", "b"), top: str = "", inside: str = "") -> str:
    """Every service has all hosts."""
    text = f"serial_no = 1\nprimary = 127.0.0.1\nservice = lvs\nnetwork = nat\n{top}\n"
    for number, name in enumerate(services):
        text += f"virtual {name} {{\n     active = 1\n     address = 127.0.0.100 lo:1\n     port = {80 + number}\n     check = connect\n"
        text += f"     check_interval = 0.2\n     check_timeout = 1\n     rise = 1\n     {inside}\n"
        text += "".join(SERVER.format(name=f"s{host[8:]}", host=host, port=port) for host in HOSTS) + "}\n"
    return text


def test_both_nannies_have_hosts() -> None:
    assert set(OF.values()) == {0, 1}


# --- lvsd's side -----------------------------------------------------------------------------------------------------------------


class Played:
    """A nanny that the test plays: what it was told, and what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[ToNanny] = []
        self.explained: list[CheckResult] = []
        self.server: channel.ChannelServer | None = None

    async def start(self) -> None:
        self.heard.clear()
        self.server = await channel.serve(
            self.path, decode=ToNanny, on_connect=lambda connection: connection.send(NannyReport(checks=[])), on_message=self._hear
        )

    def _hear(self, connection: channel.Connection, message: ToNanny) -> None:
        self.heard.append(message)
        if isinstance(message, NannyTrial):
            outcomes = [TrialOutcome(key=spec.key, ok=True, duration_s=0.1, reason=self.path.stem, reply=b"") for spec in message.checks]
            connection.send(NannyTrialDone(id=message.id, outcomes=outcomes))
        elif isinstance(message, NannyExplain):
            connection.send(NannyExplained(id=message.id, results=[CheckResult(at=1.0, ok=True, duration_s=0.1, reason=self.path.stem)]))

    @property
    def configure(self) -> NannyConfigure:
        """What it was last told to check."""
        return next(message for message in reversed(self.heard) if isinstance(message, NannyConfigure))

    def of(self, kind: type[NannyKeep] | type[NannyRelease]) -> list[NannyKeep | NannyRelease]:
        return [message for message in self.heard if isinstance(message, kind)]

    def keys(self) -> set[str]:
        return {spec.key for spec in self.configure.checks}

    def say(self, state: str, *keys: str, relapses: dict[str, Relapses] | None = None, **fields: float) -> None:
        """Report these checks (all that it has) in this state."""
        chosen = [spec for spec in self.configure.checks if not keys or spec.key in keys]
        infos = [CheckInfo(key=spec.key, target=spec.target, what="", state=state, **fields) for spec in chosen]  # type: ignore[arg-type]
        assert self.server is not None
        self.server.broadcast(NannyReport(checks=infos, relapses=relapses or {}))

    def loads(self) -> set[str]:
        """Whose load it was last told to read."""
        told = [message for message in self.heard if isinstance(message, NannyReadLoads)]
        return {spec.key for spec in told[-1].specs} if told else set()

    def end(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


class Two:
    """A lab whose two nannies are played."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nannies = [Played(lab.settings.nanny_socket(name)) for name in lab.settings.nanny_names]
        self.first, self.second = self.nannies

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(10):
            while not condition():  # type: ignore[operator]  # noqa: ASYNC110 -- what is waited for comes over sockets
                await asyncio.sleep(0.005)

    async def start(self, played: Played) -> None:
        await played.start()
        await self.until(lambda: any(isinstance(message, NannyConfigure) for message in played.heard))

    def side(self, key: str) -> bool | None:
        return self.lab.director.book.sides.get(key)

    async def say(self, played: Played, state: str, *keys: str, **fields: float) -> None:
        """And wait until lvsd has heard it."""
        played.say(state, *keys, relapses=None, **fields)
        await self.until(lambda: all((info := self.lab.director.book.info(key)) and info.state == state for key in keys or played.keys()))

    async def settled(self) -> dict[str, dict[str, int]]:
        await self.lab.director.settle()
        return self.lab.weights()


@contextlib.asynccontextmanager
async def two(folder: Path, text: str, *, planned: bool = False) -> AsyncIterator[Two]:
    """``planned``: how it ends."""
    lab = Lab(folder, FakeIpvs(), nannies=2)
    lab.lvs_cf.write_text(text)
    await lab.start()
    found = Two(lab)
    connecting = asyncio.create_task(lab.director.nanny.run())
    for played in found.nannies:
        await found.start(played)
    try:
        yield found
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        for played in found.nannies:
            played.end()
        await lab.stop(planned=planned)


async def test_each_host_is_one_nannys_with_all_its_services(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080)) as found:
        for place, played in enumerate(found.nannies):
            assert played.keys() == {f"{service}/s{host[8:]}" for service in "ab" for host in HOSTS if OF[host] == place}


async def test_a_change_disturbs_only_the_nanny_that_it_concerns(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080)) as found:
        before = [list(played.heard) for played in found.nannies]
        lab = found.lab
        moved = HOSTS[0]
        changed = lab.text().replace(f"address = {moved}\n         port = 8080", f"address = {moved}\n         port = 8081", 1)
        await lab.ask(lab.client.put_config, changed, if_match=(await lab.ask(lab.client.config)).etag)
        await found.until(lambda: len(found.nannies[OF[moved]].heard) > len(before[OF[moved]]))
        assert found.nannies[1 - OF[moved]].heard == before[1 - OF[moved]]
        assert sum(spec.port == 8081 for spec in found.nannies[OF[moved]].configure.checks) == 1


async def test_loads_are_spread_too_and_wherever_they_are_read_they_are_compared(tmp_path: Path) -> None:
    text = lvs_cf(8080, services=("a",), inside="load_monitor = uptime").replace("active = 1\n     }", "active = 1\n weight = 100\n     }")
    async with two(tmp_path, text) as found:
        await found.until(lambda: found.first.loads() and found.second.loads())
        assert found.first.loads() | found.second.loads() == {f"uptime {host}" for host in HOSTS}
        assert not found.first.loads() & found.second.loads()
        for played in found.nannies:
            await found.say(played, "up")
        busy = f"uptime {HOSTS[0]}"
        for played in found.nannies:
            assert played.server is not None
            played.server.broadcast(NannyLoads(readings=[LoadReading(key, 9.0 if key == busy else 1.0) for key in sorted(played.loads())]))
        book = found.lab.director.loads
        await found.until(lambda: (info := book.info_of("a/s21")) and info.at and (info := book.info_of("a/s28")) and info.at)
        await found.lab.director.step()
        (weights,) = found.lab.weights().values()
        assert sorted(weights.values()) == [20, *[100] * 7]
        assert weights[f"{HOSTS[0]}:8080"] == 20


async def test_ruptime_is_one_nannys_for_all_hosts(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080, services=("a",), inside="load_monitor = ruptime")) as found:
        await found.until(lambda: found.first.loads() or found.second.loads())
        assert sorted(map(len, (found.first.loads(), found.second.loads()))) == [0, len(HOSTS)]


async def test_a_mass_failure_is_seen_over_all_nannies_and_nobody_leaves(tmp_path: Path) -> None:
    """Neither nanny alone sees that most servers of both services fail."""
    async with two(tmp_path, lvs_cf(8080, top="mass_failure_hold = 90")) as found:
        for played in found.nannies:
            await found.say(played, "up")
        whole = await found.settled()
        few, many = sorted(found.nannies, key=lambda played: len(played.keys()))
        its_own = [host[8:] for host in HOSTS if f"a/s{host[8:]}" in many.keys()]  # noqa: SIM118 -- a method of the test's
        gone = {f"{service}/s{number}" for service in "ab" for number in its_own[:2]}
        await found.say(many, "down", *gone)
        assert sum(len(servers) for servers in (await found.settled()).values()) == 12  # four of sixteen: they leave
        failing = {*gone, *few.keys()}
        few.say("down")
        await found.until(lambda: found.first.of(NannyKeep) and found.second.of(NannyKeep))
        await found.until(lambda: all(found.side(key) for key in failing))
        assert await found.settled() == whole
        kept = {key for played in found.nannies for message in played.of(NannyKeep) for key in message.keys}
        assert kept == failing
        for played in found.nannies:
            assert all(set(message.keys) <= played.keys() and 80 < message.for_s <= 90 for message in played.of(NannyKeep))  # type: ignore[union-attr]
        events = [event.message for event in (await found.lab.ask(found.lab.client.events)).events]
        assert sum(message.startswith("mass-failure brake: ") for message in events) == 1
        alerts = {alert.code: alert for alert in (await found.lab.ask(found.lab.client.state)).alerts}
        assert "failed at once and are kept in service until" in alerts["mass-failure"].message


async def test_a_nanny_that_comes_back_during_a_mass_failure_is_told_of_the_brake(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080, top="mass_failure_hold = 90")) as found:
        for played in found.nannies:
            await found.say(played, "up")
        for played in found.nannies:
            played.say("down")
        await found.until(lambda: found.first.of(NannyKeep) and found.second.of(NannyKeep))
        found.second.end()
        await found.until(lambda: ("nanny-2", False) in found.lab.director.nanny.standing())
        await found.start(found.second)
        told = found.second.configure
        assert 80 < told.brake_s <= 90
        assert {known.state for known in told.known.values()} == {"falling"}


async def test_a_release_goes_to_whom_it_concerns_and_the_brakes_to_all(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080, top="mass_failure_hold = 90")) as found:
        one = min(found.second.keys())
        for played in found.nannies:
            await found.say(played, "up")
        await found.say(found.second, "rising", one, held_until=4e9)
        client = found.lab.client
        await found.lab.ask(client.release, one)
        await found.until(lambda: found.second.of(NannyRelease))
        assert found.second.of(NannyRelease) == [NannyRelease(keys=[one])]
        assert found.first.of(NannyRelease) == []
        await found.lab.ask(client.release)
        await found.until(lambda: found.first.of(NannyRelease))
        assert found.first.of(NannyRelease) == [NannyRelease(keys=[], brake=True)]
        found.second.end()
        await found.until(lambda: ("nanny-2", False) in found.lab.director.nanny.standing())
        with pytest.raises(AgentRefused, match="nanny-2 is not running: try again in a moment"):
            await found.lab.ask(client.release, one)
        alerts = [alert.message for alert in (await found.lab.ask(client.state)).alerts]
        assert "nanny-2 is not running: the real servers that it checks keep the health last known" in alerts


async def test_the_brakes_release_reaches_a_nanny_that_was_away(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080, top="mass_failure_hold = 90")) as found:
        for played in found.nannies:
            await found.say(played, "up")
        for played in found.nannies:
            played.say("down")
        await found.until(lambda: found.first.of(NannyKeep) and found.second.of(NannyKeep))
        await found.say(found.second, "up")
        found.second.end()
        await found.until(lambda: ("nanny-2", False) in found.lab.director.nanny.standing())
        await found.lab.ask(found.lab.client.release)
        await found.start(found.second)
        assert found.second.configure.brake_s == 0


@pytest.mark.parametrize(("planned", "left_s"), [(False, 90), (True, 0)])
async def test_the_brake_goes_on_when_lvsd_is_restarted_and_ends_with_a_planned_stop(tmp_path: Path, planned: bool, left_s: float) -> None:
    text = lvs_cf(8080, top="mass_failure_hold = 90")
    async with two(tmp_path, text, planned=planned) as found:
        assert [played.configure.brake_s for played in found.nannies] == [0, 0]
        for played in found.nannies:
            await found.say(played, "up")
        for played in found.nannies:
            played.say("down")
        await found.until(lambda: found.first.of(NannyKeep) and found.second.of(NannyKeep))
    async with two(tmp_path, text) as found:
        assert [played.configure.brake_s for played in found.nannies] == [pytest.approx(left_s, abs=20)] * 2
    async with two(tmp_path, lvs_cf(8080)) as found:  # the keyword is taken away
        assert [played.configure.brake_s for played in found.nannies] == [0, 0]
    async with two(tmp_path, text) as found:
        assert [played.configure.brake_s for played in found.nannies] == [0, 0]


async def test_test_now_is_made_by_those_who_are_there_and_explain_asks_whose_it_is(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080)) as found:
        client = found.lab.client
        for key, played in ((min(found.first.keys()), found.first), (min(found.second.keys()), found.second)):
            told = await found.lab.ask(client.explain, key)
            assert [result.reason for result in told.results] == [played.path.stem]
        etag = (await found.lab.ask(client.config)).etag
        asked = TrialRequest(etag=etag, virtual="a", send=None, expect=None, use_regex=False, send_program=None)
        both = await found.lab.ask(client.trial, asked)
        assert [result.reason for result in both.results] == [("nanny", "nanny-2")[OF[host]] for host in HOSTS]
        found.second.end()
        await found.until(lambda: ("nanny-2", False) in found.lab.director.nanny.standing())
        one = await found.lab.ask(client.trial, asked)
        assert {result.reason for result in one.results} == {"nanny"}


def timeless(known: Known) -> Known:
    """Without how long ago."""
    return replace(known, for_s=0.0)


async def test_a_nanny_goes_on_from_what_the_last_one_said(tmp_path: Path) -> None:
    async with two(tmp_path, lvs_cf(8080, inside="hold_down = 30")) as found:
        up, falling, held = sorted(found.first.keys())[:3]
        await found.say(found.first, "up", up, successes=7, since=time.time() - 3600)
        await found.say(found.first, "falling", falling, failures=2)
        found.first.say("rising", held, relapses={held: Relapses(3, held_s=120)}, successes=1)
        await found.until(lambda: found.side(held) is False)
        found.first.end()
        await found.until(lambda: ("nanny", False) in found.lab.director.nanny.standing())
        assert found.side(up) is True  # what was known holds while it is away
        await found.start(found.first)
        known = found.first.configure.known
        assert timeless(known[up]) == Known("up", 7, 0)
        assert known[up].for_s == pytest.approx(3600, abs=20)
        assert timeless(known[falling]) == Known("falling", 0, 2)
        assert (known[held].state, known[held].successes, known[held].relapses.count) == ("rising", 1, 3)
        assert 110 < known[held].relapses.held_s <= 120
        assert set(known) == {up, falling, held}


@pytest.mark.parametrize("planned", [False, True])
async def test_the_whole_agents_restart_puts_nobody_into_traffic_before_a_check(tmp_path: Path, planned: bool) -> None:
    """Planned, the table is empty and everybody waits for a first check.  Else those that were in stay in, and nobody else comes."""
    plane, text = FakeIpvs(), lvs_cf(8080, services=("a",), inside="hold_down = 30")
    lab = Lab(tmp_path, plane)
    lab.lvs_cf.write_text(text)
    await lab.start()
    await lab.report("up", virtual="a")
    await lab.report("down", "s21", virtual="a")
    lab.director.nanny._heard(NannyReport(checks=[_info(lab, "a/s21")], relapses={"a/s21": Relapses(2, held_s=600)}))
    before = lab.weights()
    await lab.stop(planned=planned)
    lab = Lab(tmp_path, plane)
    await lab.start()
    try:
        await lab.director.step()
        after = lab.weights()
        assert after == ({"127.0.0.100:80 tcp": {}} if planned else before)
        configured = lab.director.nanny._configuration(0)
        assert configured is not None
        held = configured.known["a/s21"]
        assert held.state == ("" if planned else "down")
        assert (held.relapses.count, 590 < held.relapses.held_s <= 600) == (2, True)
    finally:
        await lab.stop()


def _info(lab: Lab, key: str) -> CheckInfo:
    spec = lab.director.running.expansion.checks[[spec.key for spec in lab.director.running.expansion.checks].index(key)]
    return CheckInfo(key=key, target=spec.target, what="", state="down")


async def test_health_that_is_lost_with_the_table_kept_changes_no_weight(tmp_path: Path) -> None:
    """Somebody emptied the runtime folder: what the kernel has stays until a check says otherwise, and who is out stays out."""
    plane, text = FakeIpvs(), lvs_cf(8080, services=("a",))
    async with running(tmp_path, text, plane) as lab:
        await lab.report("up", virtual="a")
        await lab.report("down", "s21", virtual="a")
        before = lab.weights()
    (tmp_path / "run" / "health.json").unlink()
    async with running(tmp_path, text, plane) as lab:
        await lab.director.step()
        assert lab.weights() == before


# --- the whole agent -------------------------------------------------------------------------------------------------------------


class Farm:
    """Real servers that listen, or do not."""

    def __init__(self) -> None:
        self.port = free_port("0.0.0.0")
        self._listening: dict[str, socket.socket] = {}

    def open(self, *hosts: str) -> None:
        for host in hosts:
            self._listening[host] = socket.create_server((host, self.port), backlog=512)

    def close(self, *hosts: str) -> None:
        for host in hosts or tuple(self._listening):
            self._listening.pop(host).close()


@pytest.fixture
def servers() -> Iterator[Farm]:
    made = Farm()
    yield made
    made.close()


def pids(stack: Stack) -> dict[str, int]:
    return {one.name: one.pid for one in stack.agent_client.state().processes}


def states(stack: Stack) -> dict[str, str]:
    (virtual,) = stack.agent_client.state(servers=True).virtual_servers
    return {one.address: one.state for one in virtual.real_servers}


def checked_at(stack: Stack) -> dict[str, float]:
    return {info.target.partition(":")[0]: info.last_at for info in stack.agent_client.checks().checks}


def test_one_of_two_nannies_dies_and_only_its_checks_wait(servers: Farm) -> None:
    servers.open(*HOSTS)
    with running_stack(lvs_cf(servers.port, services=("a",)), console=False, agent_keys="nannies = 2\n") as stack:
        until(lambda: set(states(stack).values()) == {"up"}, 15, lambda: str(states(stack)))
        found = pids(stack)
        assert {"nanny", "nanny-2", "pulse", "lvsd", "supervisor"} == set(found)
        os.kill(found["nanny-2"], signal.SIGSTOP)
        mine, others = ([host for host in HOSTS if OF[host] == place] for place in (1, 0))
        stood = checked_at(stack)
        servers.close(*HOSTS)
        until(lambda: {states(stack)[host] for host in others} == {"down"}, 10, lambda: str(states(stack)))
        assert {states(stack)[host] for host in mine} == {"up"}  # their last results hold
        servers.open(*HOSTS)
        until(lambda: {states(stack)[host] for host in others} == {"up"}, 10, lambda: str(states(stack)))
        os.kill(found["nanny-2"], signal.SIGKILL)
        until(lambda: pids(stack)["nanny-2"] not in {0, found["nanny-2"]}, 15)
        until(lambda: all(checked_at(stack)[host] > stood[host] for host in mine), 15)
        restarted = {one.name: (one.restarts, one.state) for one in stack.agent_client.state().processes}
        assert (restarted["nanny"], restarted["nanny-2"]) == ((0, "running"), (1, "running"))
        words = [event.message for event in stack.agent_client.events(limit=100).events if event.kind == "server"]
        assert not [message for message in words if "is down" in message and any(f"({host}:" in message for host in mine)]
        servers.close(*mine)
        until(lambda: {states(stack)[host] for host in mine} == {"down"}, 10, lambda: str(states(stack)))


def test_another_number_in_agent_toml_waits_for_the_agents_own_restart(servers: Farm) -> None:
    servers.open(*HOSTS)
    with running_stack(lvs_cf(servers.port, services=("a",)), console=False, agent_keys="nannies = 2\n") as stack:
        until(lambda: set(states(stack).values()) == {"up"}, 15, lambda: str(states(stack)))
        config = stack.folder.agent_toml
        config.write_text(config.read_text().replace("nannies = 2", "nannies = 3"))
        before = pids(stack)
        for name in ("nanny-2", "lvsd"):
            os.kill(before[name], signal.SIGKILL)
            until(lambda name=name: _replaced(stack, before, name), 20)  # type: ignore[misc]
        looked = time.time()
        until(lambda: all(at > looked for at in checked_at(stack).values()), 15, lambda: str(checked_at(stack)))
        assert set(pids(stack)) == set(before)
        assert not [alert for alert in stack.agent_client.state().alerts if "is not running" in alert.message]
        os.kill(before["supervisor"], signal.SIGUSR1)
        until(lambda: _replaced(stack, before, "lvsd") and "nanny-3" in pids(stack), 20)
        looked = time.time()
        until(lambda: all(at > looked for at in checked_at(stack).values()), 15, lambda: str(checked_at(stack)))
        until(lambda: {one.state for one in stack.agent_client.state().processes} == {"running"}, 10)


def everybody(stack: Stack) -> list[RealServerState]:
    return [one for virtual in stack.agent_client.state(servers=True).virtual_servers for one in virtual.real_servers]


def test_a_mass_failure_on_real_nannies_is_kept_by_all_of_them_until_it_is_released(servers: Farm) -> None:
    servers.open(*HOSTS)
    text = lvs_cf(servers.port, top="mass_failure_hold = 900")
    with running_stack(text, console=False, agent_keys="nannies = 2\n") as stack:
        until(lambda: {one.state for one in everybody(stack)} == {"up"}, 15, lambda: str(everybody(stack)))
        servers.close()
        until(lambda: all(one.held and one.held.kept for one in everybody(stack)), 15, lambda: str(everybody(stack)))
        assert {one.weight for one in everybody(stack)} == {1}
        found = pids(stack)
        for name in ("nanny-2", "lvsd"):
            os.kill(found[name], signal.SIGKILL)
            until(lambda name=name: _replaced(stack, found, name), 20)  # type: ignore[misc]
        looked = time.time()
        until(lambda: all(at > looked for at in checked_at(stack).values()), 15, lambda: str(checked_at(stack)))
        kept = {(1, True)}
        until(
            lambda: {(one.weight, bool(one.held and one.held.kept)) for one in everybody(stack)} == kept, 10, lambda: str(everybody(stack))
        )
        released = stack.agent_client.release()
        assert len(released.kept) == 2 * len(HOSTS)
        until(lambda: {one.state for one in everybody(stack)} == {"down"}, 15, lambda: str(everybody(stack)))
        assert not any(one.held for one in everybody(stack))


def number1(stack: Stack) -> RealServerState:
    (virtual,) = stack.agent_client.state(servers=True).virtual_servers
    return virtual.real_servers[0]


def held_until(stack: Stack) -> float:
    """Until when number1 is held down (0: it is not, or nobody can say at the moment)."""
    with contextlib.suppress(AgentDown):
        one = number1(stack)
        return one.held.until if one.held is not None and not one.held.kept and one.state == "rising" and one.weight is None else 0.0
    return 0.0


def test_a_hold_down_outlives_nanny_lvsd_and_the_whole_agent(servers: Farm) -> None:
    host = HOSTS[0]
    text = lvs_cf(servers.port, services=("a",), inside="hold_down = 900")
    with running_stack(text, console=False, agent_keys="nannies = 2\n") as stack:
        for _ in range(2):
            servers.open(host)
            until(lambda: number1(stack).state == "up", 15, lambda: str(number1(stack)))
            servers.close(host)
            until(lambda: number1(stack).state == "down", 15, lambda: str(number1(stack)))
        servers.open(host)
        until(lambda: held_until(stack), 15, lambda: str(number1(stack)))
        first = held_until(stack)
        kept = stack.folder.path / "agent" / "hold-downs.json"
        until(kept.exists, 10, lambda: str(sorted(stack.folder.path.rglob("*.json"))))

        def still_held() -> bool:
            return abs(held_until(stack) - first) < 2

        for name in ("nanny" if OF[host] == 0 else "nanny-2", "lvsd"):
            before = pids(stack)
            os.kill(before[name], signal.SIGKILL)
            until(lambda before=before, name=name: _replaced(stack, before, name) and still_held(), 20)  # type: ignore[misc]
        before = pids(stack)
        os.kill(before["supervisor"], signal.SIGUSR1)
        until(lambda: _replaced(stack, before, "lvsd") and still_held(), 20)
        stack.stop_agent()
        stack.start_agent()
        until(still_held, 20, lambda: str(number1(stack)))
        wait_for_agent(stack.agent_client, stack.agent)
        words = [event.message for event in stack.agent_client.events(limit=100).events if "s21" in event.message]
        assert sum("is up" in message for message in words) == 2  # and never again


def _replaced(stack: Stack, before: dict[str, int], name: str) -> bool:
    with contextlib.suppress(AgentDown, KeyError):
        return pids(stack)[name] not in {0, before[name]}
    return False
