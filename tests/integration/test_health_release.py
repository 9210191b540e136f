"""A release by hand, through the whole agent: nanny's hold-down and its brake end, the table follows, the events tell who did it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lvsagent.client import AgentRefused
from lvsagent.wire import RealServerState
from tests import pair as agents
from tests.integration.lvsd_lab import running
from tests.integration.sync_lab import Both, Side, both
from tests.integration.test_lvsctl import Ctl
from tests.integration.test_weights_live import say
from tests.stack import Stack, free_port, running_stack, web_server
from tests.waiting import until

ONE = "127.0.0.21"
LVS_CF = """\
serial_no = 1
primary = 127.0.0.1
service = lvs
network = nat
GLOBAL
virtual a {
     active = 1
     address = 127.0.0.100 lo:1
     port = 80
     check = connect
     check_interval = 0.1
     check_timeout = 1
     rise = 1
     SERVICE
     server number1 {
         address = 127.0.0.21
         port = WEB
         active = 1
     }
}
"""


@contextlib.contextmanager
def stack(text: str, port: int) -> Iterator[tuple[Stack, Ctl]]:
    with running_stack(text.replace("WEB", str(port)), console=False) as found:
        yield found, Ctl(found.folder.runtime / "agent.sock")


def server(found: Stack, virtual: int = 0) -> RealServerState:
    return found.agent_client.state(servers=True).virtual_servers[virtual].real_servers[0]


def test_a_server_that_is_held_down_is_back_in_the_table_at_once() -> None:
    port = free_port(ONE)
    text = LVS_CF.replace("GLOBAL", "").replace("SERVICE", "hold_down = 900")
    with stack(text, port) as (found, ctl):
        for _ in range(2):
            with web_server("number1", ONE, port):
                until(lambda: server(found).state == "up", 15, lambda: str(server(found)))
            until(lambda: server(found).state == "down", 15, lambda: str(server(found)))
        with web_server("number1", ONE, port):
            until(lambda: server(found).state == "rising", 15, lambda: str(server(found)))
            held = server(found).held
            assert held is not None
            assert (held.key, held.kept) == ("a/number1", False)
            assert ctl("health", "release", "number1") == "a/number1: no longer held down\n"
            until(lambda: server(found).state == "up", 5, lambda: str(server(found)))
            assert server(found).weight == 1
            assert server(found).held is None
            assert ctl("health", "release", status=1) == "no server is held down or kept in service\n"
        assert any(
            event.message == "a/number1: no longer held down" and event.actor for event in found.agent_client.events(limit=20).events
        )


def test_servers_that_the_brake_keeps_leave_when_it_is_released() -> None:
    port = free_port(ONE)
    text = LVS_CF.replace("GLOBAL", "mass_failure_hold = 900").replace("SERVICE", "")
    text += text[text.index("virtual a") :].replace("virtual a", "virtual b").replace("port = 80", "port = 81")
    with stack(text, port) as (found, ctl):
        with web_server("number1", ONE, port):
            until(lambda: [server(found, one).state for one in (0, 1)] == ["up", "up"], 15)
        until(lambda: all(server(found, one).held for one in (0, 1)), 15, lambda: str(server(found)))
        assert any(alert.code == "mass-failure" for alert in found.agent_client.state().alerts)
        done = ctl.json("health", "release")
        assert done == {"held": [], "kept": ["a/number1", "b/number1"], "there": [], "peer": ""}
        until(lambda: [server(found, one).state for one in (0, 1)] == ["down", "down"], 5)
        assert not any(alert.code == "mass-failure" for alert in found.agent_client.state().alerts)


FLAPS = "127.0.0.24"
FLAPPING = """\
virtual flapping {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 81
     check = connect
     check_interval = 0.1
     check_timeout = 1
     rise = 1
     hold_down = 900
     server one {
         address = 127.0.0.24
         port = WEB
         active = 1
     }
}
"""


def test_a_takeover_right_after_a_release_does_not_hold_the_server_down_again() -> None:
    def real(side: agents.Side) -> RealServerState:
        return side.client.state(servers=True, virtual="flapping").virtual_servers[0].real_servers[0]

    with agents.running_pair(paired=True, deadtime_s=1.0) as pair:
        pair.wait_until_settled(pair.lefty)
        until(lambda: all(side.client.sync().state == "in_step" for side in pair.sides), 15, pair.words)
        before, port = pair.lefty.client.config(), free_port(FLAPS)
        pair.lefty.client.put_config(before.text + FLAPPING.replace("WEB", str(port)), if_match=before.etag)
        until(lambda: all(side.client.state(virtual="flapping").virtual_servers for side in pair.sides), 15, pair.words)

        def both_are(state: str) -> None:
            until(lambda: [real(side).state for side in pair.sides] == [state, state], 15, pair.words)

        for _ in range(2):
            with web_server("one", FLAPS, port):
                both_are("up")
            both_are("down")
        with web_server("one", FLAPS, port):
            both_are("rising")
            assert all(real(side).held for side in pair.sides), "each by its own checks"
            done = pair.lefty.client.release("flapping/one")
            assert (done.held, done.there) == (["flapping/one"], ["flapping/one"]), done
            pair.lefty.kill()
            until(lambda: pair.righty.role() == "active", 15, pair.words)
            until(lambda: real(pair.righty).state == "up", 5, pair.words)
            assert (real(pair.righty).held, real(pair.righty).weight) == (None, 1)


def nannies(pair: Both) -> dict[str, list[tuple[list[str], bool]]]:
    """Every director has a nanny, which holds http/number1 down; what each is told to release."""
    told: dict[str, list[tuple[list[str], bool]]] = {"lefty": [], "righty": []}
    for name, side in (("lefty", pair.one), ("righty", pair.two)):
        say(side, "rising", held_until=4e9)

        def release(keys: Sequence[str], *, brake: bool, name: str = name, side: Side = side) -> None:
            told[name].append((list(keys), brake))
            for key in keys:
                say(side, "up")
                assert key == "http/number1"

        side.director.nanny.release = release  # type: ignore[method-assign]
    return told


@pytest.mark.parametrize(("key", "brake"), [("http/number1", False), ("", True)])
async def test_both_directors_let_go_so_that_a_takeover_does_not_hold_it_down_again(tmp_path: Path, key: str, brake: bool) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        told = nannies(pair)
        done = await pair.one.ask(pair.one.client.release, key, actor="ann")
        assert (done.held, done.there, done.peer) == (["http/number1"], ["http/number1"], "righty has let go too: http/number1")
        assert told == {"lefty": [(["http/number1"], brake)], "righty": [(["http/number1"], brake)]}
        info = pair.two.director.book.info("http/number1")
        assert info is not None
        assert (info.state, info.held_until) == ("up", 0)
        (event,) = [one for one in (await pair.two.ask(pair.two.client.events)).events if "held down" in one.message]
        assert (event.message, event.actor) == ("http/number1: no longer held down", "ann")
        done = await pair.two.ask(pair.two.client.release, key)  # once more, from the standby: nothing is left to let go of
        assert (done.held, done.there, done.peer) == ([], [], "lefty held nobody")


async def test_a_server_that_only_the_other_director_holds_is_released_there(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        nannies(pair)
        say(pair.one, "up")
        done = await pair.one.ask(pair.one.client.release, "http/number1")
        assert (done.held, done.there) == ([], ["http/number1"])


async def test_another_director_that_cannot_be_reached_is_said_and_nothing_fails(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        told = nannies(pair)
        pair.cut("no route to host")
        done = await pair.one.ask(pair.one.client.release, "http/number1")
        assert done.held == ["http/number1"]
        words = "righty was not told (no route to host): what it holds itself it goes on holding, also if it takes over"
        assert done.peer == words
        assert told["righty"] == []
        pair.mend()
        await pair.settle("in_step")
        assert told["righty"] == [], "said once: later it could end another hold-down"


async def test_what_the_other_director_refuses_is_said(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        nannies(pair)
        del pair.two.director.nanny.release
        done = await pair.one.ask(pair.one.client.release, "http/number1")
        assert "righty was not told (nanny is not running" in done.peer
        pair.one.paired = False
        assert "the two are not paired" in (await pair.one.ask(pair.one.client.release, "http/number1")).peer


async def test_an_agent_of_another_version_is_said(tmp_path: Path) -> None:
    async with both(tmp_path) as pair:
        await pair.settle("in_step")
        nannies(pair)

        async def older(_line: bytes) -> bytes:
            return b'{"type":"refused","reason":"the request cannot be understood (another version?)"}'

        pair.one.way.there = older
        done = await pair.one.ask(pair.one.client.release, "http/number1")
        assert "was not told (the request cannot be understood (another version?))" in done.peer


async def test_without_nanny_there_is_nothing_to_release_and_the_reason_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        say(lab, "rising", held_until=4e9)
        with pytest.raises(AgentRefused, match="nanny is not running"):
            await lab.ask(lab.client.release, "http/number1")
