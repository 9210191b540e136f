"""lvsd tells when a quorum is lost and reached, once each, wherever it is asked; and which settings a change leaves alone."""

from __future__ import annotations

from pathlib import Path

from tests.integration.lvsd_lab import TUTORIAL, Lab, running

SORRY = "     sorry_server = 127.0.0.29\n     sorry_port = 9000\n"
HEAD = "     scheduler = rr\n"


def with_lines(*lines: str) -> str:
    return TUTORIAL.replace(HEAD, HEAD + "".join(f"     {line}\n" for line in lines))


def told(lab: Lab) -> list[str]:
    """The events about the virtual server itself, oldest first."""
    return [event.message for event in reversed(lab.director.events.page(100)) if event.message.startswith("http:")]


async def test_a_lost_quorum_is_an_event_an_alert_and_the_state(tmp_path: Path) -> None:
    async with running(tmp_path, with_lines("quorum = 2", "sorry_server = 127.0.0.29", "sorry_port = 9000")) as lab:
        await lab.report("up")
        assert told(lab) == []
        await lab.report("down", "number1", "number2")
        words = "1 of 3 real servers is up and the quorum is 2: the sorry server 127.0.0.29:9000 takes all new connections"
        assert lab.weights() == {"127.0.0.100:80 tcp": {"127.0.0.23:8080": 0, "127.0.0.29:9000": 1}}
        state = await lab.ask(lab.client.state, servers=True)
        [virtual] = state.virtual_servers
        assert (virtual.state, virtual.reason, virtual.sorry, virtual.up) == ("down", words, True, 1)
        assert [alert.message for alert in state.alerts if alert.code == "quorum"] == [f"http: {words}"]
        await lab.report("up", "number1")
        assert told(lab) == [f"http: {words}", "http: 2 of 3 real servers are up: enough again, and the sorry server has left"]
        [virtual] = (await lab.ask(lab.client.state)).virtual_servers
        assert (virtual.state, virtual.sorry) == ("up", False)


async def test_hysteresis_keeps_one_server_from_telling_again_and_again(tmp_path: Path) -> None:
    async with running(tmp_path, with_lines("quorum = 2", "hysteresis = 1")) as lab:
        await lab.report("up")
        for state in ("down", "up") * 3:
            await lab.report(state, "number1", "number2")
        assert told(lab) == []
        await lab.report("down")
        await lab.report("up", "number1", "number2")
        assert told(lab) == ["http: 0 of 3 real servers are up and the quorum is 2: nobody answers"]
        await lab.report("up", "number3")
        assert told(lab)[1:] == ["http: 3 of 3 real servers are up: enough again"]


async def test_a_sorry_server_is_told_as_in_piranha_when_the_last_one_goes(tmp_path: Path) -> None:
    async with running(tmp_path, with_lines("sorry_server = 127.0.0.29")) as lab:
        await lab.report("up")
        await lab.report("down")
        assert told(lab) == ["http: 0 of 3 real servers are up: the sorry server 127.0.0.29:80 answers"]
        await lab.report("up", "number2")
        assert told(lab)[1:] == ["http: 1 of 3 real servers is up: enough again, and the sorry server has left"]
