"""What lvs.cf says of two directors, for pulse; what the peer says, for the reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.lvscf import load
from app.lvscf.model import GlobalSettings
from lvsagent.core.expansion import expand
from lvsagent.lvsd.pairing import heartbeat_paths, peer_info, pulse_configuration, redundancy_alerts, takes_traffic
from lvsagent.messages import HeartbeatPath, PulseConfigure, PulseState
from lvsagent.settings import AgentSettings
from lvsagent.wire import HeartbeatLinkInfo, PeerInfo

LVS_CF = """\
serial_no = 7
primary = 192.0.2.1
primary_private = 10.11.12.1
service = lvs
backup_active = 1
backup = 192.0.2.2
backup_private = 10.11.12.2
heartbeat_port = 1539
keepalive = 0.1
deadtime = 0.3
network = nat
nat_router = 10.11.12.254 eth0:1
nat_nmask = 255.255.255.0
monitor_links = 1
syncdaemon = 1
syncd_iface = eth0
syncd_id = 3
preempt = 1
preempt_delay = 20
virtual_mac = 1
active_cmd = "/usr/local/bin/up now"
inactive_cmd = /usr/local/bin/down
virtual http {
     active = 1
     address = 192.0.2.100 eth1:1
     vip_nmask = 255.255.255.0
     port = 80
}
"""
PAIR = GlobalSettings(primary="192.0.2.1", backup="192.0.2.2", backup_active=True, serial_no=7)
STATE = PulseState(
    etag="",
    role="active",
    since=0,
    reason="",
    addresses=[],
    announced_at=0,
    key="present",
    links=[HeartbeatLinkInfo(name="public", local="192.0.2.1", peer="192.0.2.2", state="up")],
    peer=PeerInfo(state="alive", role="standby", serial=7, heard_at=1000.0),
)


def configuration(text: str = LVS_CF, identity: str = "primary", **settings: Any) -> PulseConfigure:
    config = load(text).config
    return pulse_configuration(config, expand(config, lambda _name: None), AgentSettings(**settings), identity, {})


class TestPaths:
    def test_public_and_private_between_the_two_as_each_sees_them(self) -> None:
        assert configuration().paths == [
            HeartbeatPath(name="public", local="192.0.2.1", peer="192.0.2.2"),
            HeartbeatPath(name="private", local="10.11.12.1", peer="10.11.12.2"),
        ]
        assert configuration(identity="backup").paths == [
            HeartbeatPath(name="public", local="192.0.2.2", peer="192.0.2.1"),
            HeartbeatPath(name="private", local="10.11.12.2", peer="10.11.12.1"),
        ]

    def test_no_private_one_unless_both_ends_are_given_and_it_is_another_way(self) -> None:
        same: dict[str, Any] = {"primary_private": "192.0.2.1", "backup_private": "192.0.2.2"}
        half: dict[str, Any] = {"primary_private": "10.0.0.1"}
        for private in ({}, half, same):
            assert [path.name for path in heartbeat_paths(replace(PAIR, **private), "primary", {})] == ["public"]

    def test_names_are_followed_and_one_without_an_address_makes_no_path(self) -> None:
        named = replace(PAIR, backup="righty")
        assert heartbeat_paths(named, "primary", {"righty": "192.0.2.9"})[0].peer == "192.0.2.9"
        assert heartbeat_paths(named, "primary", {}) == []

    def test_a_host_that_is_neither_of_them_has_none(self) -> None:
        assert configuration(identity="unknown").paths == []

    def test_none_without_redundancy(self) -> None:
        assert configuration(LVS_CF.replace("backup_active = 1", "backup_active = 0")).paths == []


class TestWhatPulseIsTold:
    def test_every_setting_of_the_pair(self) -> None:
        told = configuration()
        assert (told.redundant, told.keepalive_s, told.deadtime_s, told.heartbeat_port) == (True, 0.1, 0.3, 1539)
        assert (told.preempt, told.preempt_delay_s, told.virtual_mac, told.serial) == (True, 20, True, 7)
        assert (told.sync_enabled, told.sync_interface, told.sync_id) == (True, "eth0", 3)
        assert (told.monitor_links, told.watched) == (True, ["eth1", "eth0"])

    def test_only_listed_commands(self) -> None:
        assert configuration().active_command == []
        told = configuration(root_commands=("/usr/local/bin/up now",))
        assert (told.active_command, told.inactive_command) == (["/usr/local/bin/up", "now"], [])

    def test_a_proxy_has_no_connections_to_synchronise_and_needs_no_forwarding(self) -> None:
        told = configuration(dataplane="userspace")
        assert (told.sync_enabled, told.forwarding_needed) == (False, [])

    def test_a_sync_daemon_without_a_second_director_has_nobody_to_tell(self) -> None:
        assert not configuration(LVS_CF.replace("backup_active = 1", "backup_active = 0")).sync_enabled

    def test_failover_services_commands_in_the_files_order(self) -> None:
        blocks = "".join(
            f'failover {name} {{\n active = {active}\n start_cmd = "/etc/init.d/{name} start"\n stop_cmd = "/etc/init.d/{name} stop"\n}}\n'
            for name, active in (("ftp", 1), ("off", 0), ("web", 1))
        )
        listed = tuple(f"/etc/init.d/{name} {verb}" for name in ("ftp", "off", "web") for verb in ("start", "stop"))
        told = configuration(LVS_CF.replace("service = lvs", "service = fos") + blocks, root_commands=listed)
        assert told.start_commands == [["/etc/init.d/ftp", "start"], ["/etc/init.d/web", "start"]]
        assert told.stop_commands == [["/etc/init.d/ftp", "stop"], ["/etc/init.d/web", "stop"]]


@pytest.mark.parametrize(
    ("identity", "redundant", "role", "takes"),
    [
        ("primary", False, "", True),
        ("unknown", False, "", True),
        ("backup", False, "", False),
        ("primary", True, "", False),
        ("primary", True, "active", True),
        ("primary", True, "standby", False),
        ("backup", True, "active", True),
        ("primary", False, "stopped", False),
    ],
)
def test_traffic_is_taken_by_the_active_one_and_by_a_lone_primary_before_pulse_has_spoken(
    identity: str, redundant: bool, role: str, takes: bool
) -> None:
    assert takes_traffic(identity, redundant=redundant, role=role) is takes


class TestPeer:
    def test_no_backup_no_peer(self) -> None:
        assert peer_info(GlobalSettings(), "primary", STATE, {}).state == "none"

    def test_what_it_says_with_the_name_and_address_of_lvs_cf(self) -> None:
        found = peer_info(replace(PAIR, backup="righty"), "primary", STATE, {"righty": "192.0.2.9"})
        assert (found.state, found.role, found.name, found.address) == ("alive", "standby", "righty", "192.0.2.9")
        assert peer_info(PAIR, "backup", STATE, {}).address == "192.0.2.1"

    def test_without_pulse_nothing_is_known(self) -> None:
        assert peer_info(PAIR, "primary", None, {}).state == "unknown"


class TestAlerts:
    def codes(self, identity: str = "primary", pair: GlobalSettings = PAIR, **changes: Any) -> dict[str, str]:
        state = msgspec.structs.replace(STATE, **changes)
        return {alert.code: alert.message for alert in redundancy_alerts(pair, identity, state)}

    def test_a_whole_pair_has_none(self) -> None:
        assert self.codes() == {}

    def test_one_director_alone_has_none(self) -> None:
        assert self.codes(pair=GlobalSettings(), key="missing", peer=PeerInfo(state="none"), links=[]) == {}

    def test_no_key_says_what_to_run(self) -> None:
        assert "lvsctl pair --wait" in self.codes(key="missing")["heartbeat-key"]
        assert "mode 0644" in self.codes(key="the file can be read by others (mode 0644)")["heartbeat-key"]

    def test_a_dead_peer_is_one_alert_not_one_for_each_link(self) -> None:
        silent = [msgspec.structs.replace(STATE.links[0], state="silent")]
        found = self.codes(peer=PeerInfo(state="dead", serial=3, heard_at=1000.0), links=silent)
        assert set(found) == {"peer-dead"}
        assert "nobody would take over" in found["peer-dead"]

    def test_a_silent_link_of_a_peer_that_lives(self) -> None:
        silent = HeartbeatLinkInfo(name="private", local="10.11.12.1", peer="10.11.12.2", state="silent", heard_at=1000.0)
        found = self.codes(links=[*STATE.links, silent])
        assert set(found) == {"link-silent"}
        assert "private heartbeat link (10.11.12.1 to 10.11.12.2) is silent since" in found["link-silent"]

    def test_both_active_since_when(self) -> None:
        assert "both directors are active since" in self.codes(both_active_since=1000.0)["both-active"]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"late_warning": "this host wakes up 80 ms late"}, "late"),
            ({"maintenance": True}, "maintenance"),
            ({"peer": PeerInfo(state="waiting")}, "peer-waiting"),
            ({"peer": PeerInfo(state="alive", serial=6)}, "peer-serial"),
            ({"peer": PeerInfo(state="alive", serial=7, maintenance=True)}, "peer-maintenance"),
            ({"identity": "unknown"}, "identity"),
        ],
    )
    def test_each_of_the_others(self, changes: dict[str, Any], code: str) -> None:
        assert set(self.codes(**changes)) == {code}
