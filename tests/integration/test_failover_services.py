"""``service = fos``: the standby watches the active one's services, and asks for the role when one fails."""

from __future__ import annotations

from pathlib import Path
from time import time

import msgspec

from lvsagent.messages import PulseCommand, PulseState
from lvsagent.wire import CheckInfo, HeartbeatLinkInfo, PeerInfo
from tests.integration.lvsd_lab import Lab, running

LVS_CF = """\
serial_no = 1
primary = 127.0.0.1
backup = 127.0.0.2
backup_active = 1
service = fos
failover ftp {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 21
}
"""
STATE = PulseState(
    etag="",
    role="standby",
    since=time() - 100,
    reason="",
    addresses=[],
    announced_at=0,
    key="present",
    peer=PeerInfo(state="alive", role="active", serial=1),
    links=[HeartbeatLinkInfo(name="public", local="127.0.0.1", peer="127.0.0.2", state="up", heard_at=time())],
)


def report(lab: Lab, state: str) -> None:
    """Be nanny."""
    (spec,) = lab.director.running.expansion.checks
    info = CheckInfo(key=spec.key, target=spec.target, what="", state=state, reason="connection refused", last_at=time())
    lab.director.nanny._on_report([info])


def listen(lab: Lab, state: PulseState) -> list[PulseCommand]:
    """Be pulse, and keep what it is asked."""
    asked: list[PulseCommand] = []
    lab.director.pulse.command = asked.append  # type: ignore[method-assign, assignment]  # no pulse runs here
    lab.director.pulse._heard(state)
    return asked


async def test_a_failed_service_has_the_standby_ask_for_the_role_once(tmp_path: Path) -> None:
    async with running(tmp_path, LVS_CF) as lab:
        asked = listen(lab, STATE)
        report(lab, "up")
        await lab.director.step()
        assert asked == []
        report(lab, "down")
        for _ in range(3):
            await lab.director.step()
        assert [(one.action, one.actor) for one in asked] == [("take_over", "lvsd")]
        told = [event.message for event in lab.director.events.page(10)]
        assert "the failover service ftp failed on the active director: asking for the role" in told
        assert any(message.startswith("failover service ftp (127.0.0.100:21) is down: connection refused") for message in told)


async def test_one_that_does_not_hear_the_other_on_the_public_network_does_not_ask(tmp_path: Path) -> None:
    """Its own cable may be the one that is out; the private one still carries heartbeats."""
    async with running(tmp_path, LVS_CF) as lab:
        links = [HeartbeatLinkInfo(name="private", local="10.0.0.1", peer="10.0.0.2", state="up", heard_at=time())]
        asked = listen(lab, msgspec.structs.replace(STATE, links=links))
        report(lab, "down")
        for _ in range(3):
            await lab.director.step()
        assert asked == []


async def test_the_active_one_never_does_and_neither_does_one_that_hears_nobody_or_is_in_maintenance(tmp_path: Path) -> None:
    async with running(tmp_path, LVS_CF) as lab:
        report(lab, "down")
        for changes in (
            {"role": "active", "peer": PeerInfo(state="alive", role="standby")},
            {"peer": PeerInfo(state="dead", role="active")},
            {"maintenance": True},
        ):
            values = {name: getattr(STATE, name) for name in STATE.__struct_fields__}
            asked = listen(lab, PulseState(**{**values, **changes}))
            await lab.director.step()
            assert asked == []
