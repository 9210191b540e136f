"""pulse, over interfaces in memory and an invented clock: its role, its addresses, its announcements, its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lvsagent.adapters.commands import CommandResult
from lvsagent.adapters.heartbeat_key import KeyFile, make_key_file
from lvsagent.core.addresses import Address
from lvsagent.messages import (
    AddressSpec,
    HeartbeatPath,
    PulseAnnounce,
    PulseCommand,
    PulseConfigure,
    PulseEvent,
    PulseHealth,
    PulseState,
)
from lvsagent.ports import AdapterError, SyncThread
from lvsagent.pulse.director import Director
from lvsagent.pulse.record import MaintenanceMark, RecordFile
from lvsagent.pulse.surroundings import Surroundings
from tests.fakes.links import FakeAnnouncer, FakeLinkEvents, FakeLinks, FakeSyncDaemon, FakeVirtualMac

VIP = Address("192.0.2.100", 24, "eth1", "eth1:1")
NAT = Address("10.11.12.1", 24, "eth0", "eth0:1")
OWN = Address("192.0.2.11", 24, "eth1")
ACTIVE_CMD = ["/usr/local/sbin/on-active", "--quiet"]
INACTIVE_CMD = ["/usr/local/sbin/on-inactive"]


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1e9 + self.at


class NoSocket:
    """A way to the other director on which nothing is ever heard."""

    problem = ""

    def __init__(self, local: str, peer: str, port: int, on_datagram: Callable[[bytes, bool], None]) -> None:
        pass

    def open(self) -> bool:
        return True

    def send(self, data: bytes) -> bool:
        return True

    def drain(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Host:
    """A director's world; ``boot()`` is a pulse that starts in it."""

    folder: Path
    links: FakeLinks = field(default_factory=lambda: FakeLinks(addresses=[OWN]))
    clock: Clock = field(default_factory=Clock)
    said: list[msgspec.Struct] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    forwarding: dict[str, str] = field(default_factory=dict)
    root_commands: tuple[str, ...] = (" ".join(ACTIVE_CMD), " ".join(INACTIVE_CMD))
    listening: bool = True

    def __post_init__(self) -> None:
        self.announcer = FakeAnnouncer(self.links)
        self.sync = FakeSyncDaemon(self.links)
        self.link_events = FakeLinkEvents(self.links)
        self.virtual_mac = FakeVirtualMac(self.links)
        (self.folder / "boot_id").write_text("first")

    def boot(self) -> Director:
        around = Surroundings(
            links=self.links,
            announcer=self.announcer,
            sync=self.sync,
            link_events=self.link_events,
            virtual_mac=self.virtual_mac,
            clock=self.clock,
            record=RecordFile(self.folder / "pulse.json", self.folder / "boot_id"),
            maintenance=MaintenanceMark(self.folder / "maintenance"),
            key_file=KeyFile(self.folder / "heartbeat.key"),
            open_socket=NoSocket,
            boot_id="11" * 16,
            attended=lambda: self.listening,
            run_command=self.run_command,
            forwarding_problem=lambda family: self.forwarding.get(family, ""),
            root_commands=self.root_commands,
        )
        return Director(around, self.say)

    def say(self, message: msgspec.Struct) -> bool:
        if self.listening:
            self.said.append(message)
        return self.listening

    async def run_command(self, argv: Sequence[str], limit_s: float) -> CommandResult:
        self.commands.append(tuple(argv))
        return CommandResult(ok=True, words="exit status 0")

    def events(self) -> list[str]:
        return [event.message for event in self.said if isinstance(event, PulseEvent)]

    def state(self) -> PulseState:
        return [message for message in self.said if isinstance(message, PulseState)][-1]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def configure(*addresses: Address, identity: str = "primary", **more: Any) -> PulseConfigure:
    specs = [AddressSpec(address=one.address, prefix=one.prefix, interface=one.interface, label=one.label) for one in addresses]
    return PulseConfigure(etag="etag", identity=identity, addresses=specs, **more)


async def told(director: Director, message: PulseConfigure) -> None:
    director.handle(message)
    await director.step()
    await settled()


async def settled() -> None:
    """Let tasks that wait for nothing run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_before_lvs_cf_is_known_it_touches_nothing(host: Host) -> None:
    director = host.boot()
    await director.step()
    assert director.state().role == "starting"
    assert host.links.present == {OWN}


async def test_a_lone_director_is_active_at_once_with_its_addresses_up_and_announced(host: Host) -> None:
    await told(host.boot(), configure(VIP, NAT))
    assert host.links.present == {OWN, VIP, NAT}
    assert {address.label for address in host.links.present} == {"", "eth1:1", "eth0:1"}
    assert set(host.announcer.announced) == {VIP, NAT}
    state = host.state()
    assert (state.role, state.etag) == ("active", "etag")
    assert [(one.address, one.state) for one in state.addresses] == [("192.0.2.100", "present"), ("10.11.12.1", "present")]
    assert state.announced_at == host.clock.wall()


async def test_a_backup_waits_for_heartbeat_and_carries_no_address(host: Host) -> None:
    await told(host.boot(), configure(VIP, identity="backup", redundant=True))
    assert host.links.present == {OWN}
    assert host.state().role == "standby"
    assert "backup" in host.state().reason


async def test_announcements_repeat_then_slow_down(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP))
    times = []
    for tenth in range(1, 800):
        host.clock.at = 1000 + tenth / 10
        before = len(host.announcer.announced)
        await director.step()
        times += [tenth / 10] * (len(host.announcer.announced) - before)
    assert times == [1, 2, 3, 4, 64]


async def test_announce_again_starts_the_burst_over(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP))
    host.clock.at += 30
    for _ in range(6):
        await director.step()
        host.clock.at += 1
    count = len(host.announcer.announced)
    director.handle(PulseAnnounce())
    await director.step()
    assert len(host.announcer.announced) == count + 1


async def test_an_address_that_leaves_lvs_cf_leaves_the_interface_and_no_other_does(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP, NAT))
    await told(director, configure(NAT))
    assert host.links.present == {OWN, NAT}
    assert "192.0.2.100/24 on eth1 eth1:1 removed" in host.events()


async def test_an_address_that_was_there_before_is_used_and_never_removed(host: Host) -> None:
    host.links.present.add(VIP)
    director = host.boot()
    await told(director, configure(VIP))
    assert host.state().addresses[0].reason.startswith("was there before")
    assert host.announcer.announced == [VIP]
    await told(director, configure())
    await director.stop()
    assert host.links.present == {OWN, VIP}


async def test_an_address_removed_by_hand_is_back_at_the_next_look_and_announced_anew(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP))
    for _ in range(6):
        host.clock.at += 1
        await director.step()
    host.links.present.discard(VIP)
    host.announcer.announced.clear()
    await director.step()
    assert VIP in host.links.present
    assert host.announcer.announced == [VIP]
    assert "192.0.2.100/24 on eth1 eth1:1 had disappeared and is back" in host.events()


async def test_a_planned_stop_removes_its_addresses_then_runs_inactive_cmd_and_forgets(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP, inactive_command=INACTIVE_CMD))
    await director.stop()
    assert host.links.present == {OWN}
    assert host.commands == [tuple(INACTIVE_CMD)]
    assert host.state().role == "stopped"
    assert host.boot().state().role == "starting"


async def test_killed_and_started_without_lvsd_it_goes_on_as_if_nothing_had_been(host: Host) -> None:
    await told(host.boot(), configure(VIP, NAT, active_command=ACTIVE_CMD))
    since = host.state().since
    host.commands.clear()
    host.clock.at += 5
    director = host.boot()  # nobody said goodbye
    host.links.added.clear()
    await director.step()
    await settled()
    assert director.state().role == "active"
    assert director.state().since == since
    assert host.links.added == []
    assert host.commands == []
    await told(director, configure(NAT))
    assert host.links.present == {OWN, NAT}


async def test_killed_between_the_record_and_the_address_it_finishes(host: Host) -> None:
    await told(host.boot(), configure(VIP))
    host.links.present.discard(VIP)
    await host.boot().step()
    assert VIP in host.links.present


async def test_the_record_is_written_before_the_address_is_added(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    director = host.boot()
    recorded: list[tuple[Address, ...]] = []
    add = host.links.add

    async def spy(addresses: Sequence[Address]) -> Any:
        recorded.append(RecordFile(host.folder / "pulse.json", host.folder / "boot_id").load().owned)
        return await add(addresses)

    monkeypatch.setattr(host.links, "add", spy)
    await told(director, configure(VIP))
    assert recorded == [(VIP,)]


async def test_after_a_reboot_the_record_says_nothing(host: Host) -> None:
    await told(host.boot(), configure(VIP))
    (host.folder / "boot_id").write_text("second")
    director = host.boot()
    await director.step()
    assert director.state().role == "starting"
    assert VIP in host.links.present  # someone else's now


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"boot_id": "first", "owned": 5}', b"\xff"])
def test_a_damaged_record_is_no_reason_not_to_start(host: Host, damage: bytes) -> None:
    (host.folder / "pulse.json").write_bytes(damage)
    assert host.boot().state().role == "starting"


async def test_a_record_that_cannot_be_written_keeps_nobody_from_serving(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    director = host.boot()

    def full(record: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(director._around.record, "save", full)
        await told(director, configure(VIP))
    assert VIP in host.links.present
    assert "no space left on device" in host.state().problems[0]
    assert len([message for message in host.events() if "no space left" in message]) == 1
    await director.step()
    assert host.state().problems == []
    assert RecordFile(host.folder / "pulse.json", host.folder / "boot_id").load().owned == (VIP,)


async def test_a_refused_address_is_said_once_in_words_and_tried_again(host: Host) -> None:
    host.links.refuse[VIP.address] = "permission denied"
    director = host.boot()
    await told(director, configure(VIP, NAT))
    await director.step()
    assert [message for message in host.events() if "permission" in message] == ["192.0.2.100/24 on eth1 eth1:1: permission denied"]
    assert [(one.state, one.reason) for one in host.state().addresses] == [("refused", "permission denied"), ("present", "")]
    assert NAT in host.links.present
    host.links.refuse.clear()
    await director.step()
    assert VIP in host.links.present


async def test_a_missing_interface_and_forwarding_that_is_off_are_reported_and_so_is_their_end(host: Host) -> None:
    del host.links.interfaces["eth1"]
    host.forwarding["ipv4"] = "net.ipv4.ip_forward is 0: NAT cannot work"
    director = host.boot()
    await told(director, configure(VIP, NAT, forwarding_needed=["ipv4"]))
    assert host.state().problems == ["net.ipv4.ip_forward is 0: NAT cannot work", "interface eth1 is missing, down or without a link"]
    host.links.interfaces["eth1"] = True
    host.forwarding.clear()
    await director.step()
    assert host.state().problems == []
    assert VIP in host.links.present


async def test_forwarding_is_not_looked_at_when_nothing_needs_it(host: Host) -> None:
    host.forwarding["ipv4"] = "net.ipv4.ip_forward is 0: NAT cannot work"
    await told(host.boot(), configure(VIP))
    assert host.state().problems == []


async def test_commands_run_on_role_changes_only(host: Host) -> None:
    director = host.boot()
    await told(director, configure(VIP, active_command=ACTIVE_CMD, inactive_command=INACTIVE_CMD))
    await told(director, configure(NAT, active_command=ACTIVE_CMD, inactive_command=INACTIVE_CMD))
    assert host.commands == [tuple(ACTIVE_CMD)]
    await told(director, configure(VIP, identity="backup", active_command=ACTIVE_CMD, inactive_command=INACTIVE_CMD))
    assert host.commands == [tuple(ACTIVE_CMD), tuple(INACTIVE_CMD)]
    assert host.links.present == {OWN}


@pytest.mark.parametrize(
    "argv",
    [
        ["/bin/sh", "-c", "/usr/local/sbin/on-active --quiet"],
        ["/usr/local/sbin/on-active", "--quiet", ";", "id"],
        ["/usr/local/sbin/on-active --quiet"],
        ["/usr/local/sbin/on-active"],
        ["/usr/local/sbin/on-active", "--quiet", ""],
    ],
)
async def test_a_command_that_agent_toml_does_not_list_is_never_run_even_if_lvsd_says_so(host: Host, argv: list[str]) -> None:
    director = host.boot()
    await told(director, configure(VIP, active_command=argv, inactive_command=argv))
    await director.stop()
    assert host.commands == []
    assert any(message.startswith("active_cmd is not run: agent.toml's root_commands does not list") for message in host.events())


async def test_what_happened_while_nobody_listened_is_told_once_to_the_next_listener(host: Host) -> None:
    host.listening = False
    director = host.boot()
    await told(director, configure(VIP))
    first, again = director.unsaid(), director.unsaid()
    assert [event.kind for event in first] == ["role", "address"]
    assert again == []


async def test_its_loop_survives_interfaces_that_do_not_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Callable[[], frozenset[Address]]] = []

    async def addresses() -> frozenset[Address]:
        if not answers:
            raise AdapterError("the kernel's interfaces do not answer: nobody home")
        return answers[0]()

    monkeypatch.setattr(host.links, "addresses", addresses)
    director = host.boot()
    director.handle(configure(VIP))
    running = asyncio.ensure_future(director.run())
    await settled()
    assert host.state().problems == ["the kernel's interfaces do not answer: nobody home"]
    answers.append(lambda: frozenset(host.links.present))
    director.handle(configure(VIP))
    await settled()
    running.cancel()
    assert VIP in host.links.present
    assert host.state().problems == []


PAIR: dict[str, Any] = {"redundant": True, "paths": [HeartbeatPath(name="public", local="192.0.2.11", peer="192.0.2.12")]}
SYNC: dict[str, Any] = {"sync_enabled": True, "sync_interface": "eth0", "sync_id": 3}
START, STOP = ["/usr/bin/systemctl", "start", "vpn"], ["/usr/bin/systemctl", "stop", "vpn"]


def fit(director: Director) -> bool:
    return director._machine.fit


async def one_beat(director: Director) -> None:
    """Let the loop that beats turn once; a beat is due."""
    beating = asyncio.ensure_future(director._beat())
    await settled()
    beating.cancel()


def whole(director: Director) -> bool:
    return director._machine.links_whole


class TestWhatFollowsTheRole:
    async def test_the_sync_daemon_is_master_here_and_backup_there(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP, **PAIR, **SYNC))
        assert host.sync.running == (SyncThread("master", "eth0", 3),)
        await told(director, configure(VIP, identity="backup", **PAIR, **SYNC))
        assert host.sync.running == (SyncThread("backup", "eth0", 3),)
        await director.stop()
        assert not host.sync.running

    async def test_a_restart_in_place_does_not_touch_it(self, host: Host) -> None:
        await told(host.boot(), configure(VIP, **PAIR, **SYNC))
        await host.boot().step()
        assert host.sync.history == [SyncThread("master", "eth0", 3)]

    async def test_a_daemon_that_somebody_else_started_is_left_alone(self, host: Host) -> None:
        theirs = (SyncThread("master", "eth1", 9),)
        host.sync.running = theirs
        director = host.boot()
        await told(director, configure(VIP))
        await director.stop()
        assert host.sync.running == theirs

    async def test_it_ends_when_lvs_cf_no_longer_wants_it_even_after_a_kill(self, host: Host) -> None:
        await told(host.boot(), configure(VIP, **PAIR, **SYNC))
        await told(host.boot(), configure(VIP, **PAIR))
        assert host.sync.running == ()

    @pytest.mark.parametrize("by_hand", [(), (SyncThread("backup", "eth0", 3),), (SyncThread("master", "eth1", 3),)])
    async def test_one_that_was_stopped_or_changed_by_hand_is_put_back_at_the_next_look(
        self, host: Host, by_hand: tuple[SyncThread, ...]
    ) -> None:
        director = host.boot()
        await told(director, configure(VIP, **PAIR, **SYNC))
        host.sync.running = by_hand
        await director.step()
        assert host.sync.running == (SyncThread("master", "eth0", 3),)
        assert host.events()[-1] == "the sync daemon (master on eth0) had been stopped or changed, and runs again"
        assert host.state().problems == []

    async def test_one_that_is_stopped_by_hand_and_cannot_run_again_is_a_problem_until_it_does(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP, **PAIR, **SYNC))
        host.sync.running, host.sync.refusal = (), "the sync daemon cannot run: nobody knows why"
        await director.step()
        assert host.state().problems == [host.sync.refusal]
        host.sync.refusal = ""
        await director.step()
        assert host.sync.history == [SyncThread("master", "eth0", 3)] * 2
        assert not host.state().problems

    async def test_one_that_cannot_run_is_a_problem_and_takes_no_address_away(self, host: Host) -> None:
        host.sync.refusal = "the sync daemon cannot run: nobody knows why"
        director = host.boot()
        await told(director, configure(VIP, **PAIR, **SYNC))
        assert host.sync.refusal in host.state().problems
        assert VIP in host.links.present
        host.sync.refusal = ""
        await director.step()
        assert host.state().problems == []

    async def test_addresses_live_on_the_shared_hardware_address(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP, virtual_mac=True, **PAIR))
        shared = Address("192.0.2.100", 32, "vmac-eth1")
        assert host.links.present == {OWN, shared}
        assert host.announcer.announced == [shared]
        assert await host.links.up("vmac-eth1")
        await told(director, configure(VIP, identity="backup", virtual_mac=True, **PAIR))
        assert host.links.present == {OWN}
        assert not await host.links.up("vmac-eth1")
        await told(director, configure(VIP, **PAIR))
        assert host.links.present == {OWN, VIP}
        assert host.virtual_mac.made == {}

    async def test_where_no_hardware_address_can_be_shared_the_ordinary_interface_serves(self, host: Host) -> None:
        host.links.interfaces["vmac-eth1"] = True  # somebody else's
        await told(host.boot(), configure(VIP, virtual_mac=True, **PAIR))
        assert VIP in host.links.present
        assert host.state().problems == ["virtual_mac: eth1: an interface vmac-eth1 is there that the agent did not make"]

    async def test_failover_services_start_before_active_cmd_and_stop_after_inactive_cmd(self, host: Host) -> None:
        host.root_commands += (" ".join(START), " ".join(STOP))
        commands: dict[str, Any] = {
            "active_command": ACTIVE_CMD,
            "inactive_command": INACTIVE_CMD,
            "start_commands": [START],
            "stop_commands": [STOP],
        }
        director = host.boot()
        await told(director, configure(VIP, **commands))
        assert host.commands == [tuple(START), tuple(ACTIVE_CMD)]
        host.commands.clear()
        await director.stop()
        assert host.commands == [tuple(INACTIVE_CMD), tuple(STOP)]

    async def test_a_service_that_agent_toml_does_not_list_is_not_started_and_it_is_said(self, host: Host) -> None:
        await told(host.boot(), configure(VIP, start_commands=[START]))
        assert host.commands == []
        assert "start_cmd is not run: agent.toml's root_commands does not list /usr/bin/systemctl start vpn" in host.events()

    async def test_many_addresses_are_one_event(self, host: Host) -> None:
        many = [Address(f"192.0.2.{number}", 32, "eth1") for number in range(100, 130)]
        await told(host.boot(), configure(*many))
        assert len([words for words in host.events() if words.startswith("30 addresses added: 192.0.2.100/32 on eth1")]) == 1

    async def test_links_are_watched_only_when_lvs_cf_wants_it(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP, monitor_links=True, watched=["eth1"], **PAIR))
        host.link_events.change("eth1", whole=False)
        assert not whole(director)
        await told(director, configure(VIP, watched=["eth1"], **PAIR))
        assert whole(director)
        assert host.state().role == "active"  # nobody else is there

    @pytest.mark.parametrize("how", ["beat", "look"])
    async def test_a_link_lost_at_the_same_moment_is_known_before_the_role_is_decided(self, host: Host, how: str) -> None:
        make_key_file(host.folder / "heartbeat.key")
        director = host.boot()
        await told(director, configure(VIP, monitor_links=True, watched=["eth1"], deadtime_s=3, keepalive_s=1, **PAIR))
        host.link_events.busy = True
        host.link_events.change("eth1", whole=False)
        host.clock.at += 1.0
        for _ in range(3):
            host.clock.at += 0.999  # silence for the dead time, heard by a process that runs
            await (one_beat(director) if how == "beat" else director.step())
        assert director.state().role == "standby"
        assert director.state().reason == "eth1 has no link: the silence may be our own"


class TestOperators:
    async def test_maintenance_takes_the_addresses_away_and_survives_a_boot(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP))
        director.handle(PulseCommand(action="maintenance", actor="piranha", reason="new disks"))
        await director.step()
        assert host.links.present == {OWN}
        assert host.state().maintenance
        assert "in maintenance (piranha: new disks)" in host.events()
        await director._beside.end()
        (host.folder / "boot_id").write_text("second")
        director = host.boot()
        await told(director, configure(VIP))
        assert host.state().role == "standby"
        director.handle(PulseCommand(action="resume"))
        await director.step()
        assert VIP in host.links.present

    async def test_a_word_that_is_none_is_said(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP))
        director.handle(PulseCommand(action="explode"))
        assert host.events()[-1] == "an operator asked for explode, which is not known here"


class TestTheOtherProcesses:
    async def test_without_a_key_two_directors_say_so_loudly_once(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP, **PAIR))
        await director.step()
        assert host.state().key == "missing"
        assert len([words for words in host.events() if "no heartbeat key" in words]) == 1

    async def test_a_bad_key_file_is_said_with_what_to_do(self, host: Host) -> None:
        (host.folder / "heartbeat.key").write_text("ab" * 32)
        (host.folder / "heartbeat.key").chmod(0o644)
        await told(host.boot(), configure(VIP, **PAIR))
        assert "chmod 600" in host.state().key
        assert any("chmod 600" in words for words in host.events())

    async def test_lvsd_away_for_long_makes_this_director_unfit(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP))
        host.listening = False
        host.clock.at += 19
        await director.step()
        assert fit(director)
        host.clock.at += 2
        await director.step()
        assert not fit(director)
        host.listening = True
        await director.step()
        assert fit(director)

    async def test_so_does_a_data_plane_that_cannot_serve(self, host: Host) -> None:
        director = host.boot()
        await told(director, configure(VIP))
        director.handle(PulseHealth(serial=1, up=0, total=1, fit=False))
        assert not fit(director)
