"""What lvs.cf says about two directors, put into pulse's terms, and the peer's words put into the reader's.

Owns the heartbeat's paths, the alerts about redundancy, and whether this data plane is to take traffic.  Pure: it sends and keeps nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from app.lvscf import ip_of
from app.lvscf.model import NO_ADDRESS, Config, GlobalSettings, ServiceKind
from lvsagent.core.clean_text import clean
from lvsagent.core.identity import ACTIVE, BACKUP, PRIMARY, UNKNOWN, redundancy_wanted, role_without_peer
from lvsagent.core.pools import Expansion
from lvsagent.core.root_commands import permitted
from lvsagent.messages import AddressSpec, HeartbeatPath, PulseConfigure, PulseState
from lvsagent.settings import AgentSettings
from lvsagent.wire import Alert, HeartbeatLinkInfo, PeerInfo

PUBLIC, PRIVATE = "public", "private"
KEY_PRESENT = "present"


def pulse_configuration(
    config: Config, expansion: Expansion, settings: AgentSettings, identity: str, resolved: Mapping[str, str]
) -> PulseConfigure:
    """All of ``config`` that pulse needs, but for its ``etag``, which the caller fills in.  ``resolved``: addresses of host names."""
    wanted = config.globals
    routed = settings.dataplane == "kernel"
    redundant = redundancy_wanted(wanted)
    services = [block for block in config.failover if block.active] if wanted.service is ServiceKind.FOS else []
    return PulseConfigure(
        etag="",
        identity=identity,
        addresses=[
            AddressSpec(address=one.address, prefix=one.prefix, interface=one.interface, label=one.label) for one in expansion.addresses
        ],
        forwarding_needed=list(expansion.forwarding_needed) if routed else [],
        active_command=_command(wanted.active_cmd, settings),
        inactive_command=_command(wanted.inactive_cmd, settings),
        redundant=redundant,
        keepalive_s=wanted.keepalive,
        deadtime_s=wanted.deadtime,
        heartbeat_port=wanted.heartbeat_port,
        paths=heartbeat_paths(wanted, identity, resolved) if redundant else [],
        preempt=wanted.preempt,
        preempt_delay_s=wanted.preempt_delay,
        monitor_links=bool(wanted.monitor_links),
        watched=list(dict.fromkeys(one.interface for one in expansion.addresses)),
        virtual_mac=wanted.virtual_mac,
        sync_enabled=wanted.syncdaemon and redundant and routed,
        sync_interface=clean(wanted.syncd_iface),
        sync_id=wanted.syncd_id,
        start_commands=[argv for block in services if (argv := _command(block.start_cmd, settings))],
        stop_commands=[argv for block in services if (argv := _command(block.stop_cmd, settings))],
        serial=wanted.serial_no,
    )


def heartbeat_paths(settings: GlobalSettings, identity: str, resolved: Mapping[str, str]) -> list[HeartbeatPath]:
    """The ways between the two directors; empty on a host that is neither of them.

    There is a private one when both private addresses are given and it is another way than the public one.
    """
    if identity not in {PRIMARY, BACKUP}:
        return []
    pairs = [(PUBLIC, settings.primary, settings.backup), (PRIVATE, settings.primary_private, settings.backup_private)]
    paths: dict[tuple[str, str], HeartbeatPath] = {}
    for name, primary, backup in pairs:
        ends = [resolved.get(host) or ip_of(host) for host in (primary, backup) if host and host != NO_ADDRESS]
        if len(ends) == 2 and ends[0] and ends[1]:
            local, peer = (ends[0], ends[1]) if identity == PRIMARY else (ends[1], ends[0])
            paths.setdefault((local, peer), HeartbeatPath(name=name, local=local, peer=peer))
    return list(paths.values())


def takes_traffic(identity: str, *, redundant: bool, role: str) -> bool:
    """Whether the data plane is to take traffic; ``role`` is what pulse said last, ``""`` when it has not spoken yet."""
    if role:
        return role == ACTIVE
    return not redundant and role_without_peer(identity, redundant=False).role == ACTIVE


def peer_info(settings: GlobalSettings, identity: str, state: PulseState | None, resolved: Mapping[str, str]) -> PeerInfo:
    """The other director for the reader: what pulse heard, and its address (its name too, if there is one) as lvs.cf has them."""
    if not redundancy_wanted(settings):
        return PeerInfo(state="none")
    host = settings.primary if identity == BACKUP else settings.backup
    heard = state.peer if state else PeerInfo(state="unknown")
    if heard.state == "none":  # pulse has not taken this lvs.cf over yet
        heard = PeerInfo(state="waiting")
    name = heard.name if ip_of(host) else clean(host)
    return msgspec.structs.replace(heard, name=name, address=clean(resolved.get(host) or host))


# --- alerts --------------------------------------------------------------------------------------------------------------------


def redundancy_alerts(settings: GlobalSettings, identity: str, state: PulseState | None) -> Iterator[Alert]:
    """What is wrong with the pair, worst first."""
    if state is None:
        return
    if state.maintenance:
        yield _warning("maintenance", "this director is in maintenance: it does not become active until somebody resumes it")
    if not redundancy_wanted(settings):
        return
    if state.both_active_since:
        since = time.strftime("%H:%M:%S", time.localtime(state.both_active_since))
        yield _error("both-active", f"both directors are active since {since}: the virtual addresses are on two hosts")
    if state.key != KEY_PRESENT:
        yield _error("heartbeat-key", _key_words(state.key))
    if identity == UNKNOWN:
        yield _error(
            "identity", "this host has neither the primary's nor the backup's address of lvs.cf: it takes no part (agent.toml: node)"
        )
    yield from _peer_alerts(settings, state)
    if state.late_warning:
        yield _warning("late", state.late_warning)


def _peer_alerts(settings: GlobalSettings, state: PulseState) -> Iterator[Alert]:
    peer = state.peer
    if peer.state == "dead":
        since = time.strftime("%H:%M:%S", time.localtime(peer.heard_at))
        yield _error("peer-dead", f"the other director is silent on every link since {since}: nobody would take over from this one")
    elif peer.state == "waiting" and state.key == KEY_PRESENT:
        yield _warning("peer-waiting", "the other director has not been heard yet")
    elif peer.state == "alive":
        yield from (_warning("link-silent", _silent_words(link)) for link in _not_up(state.links))
        if peer.serial != settings.serial_no:
            yield _warning("peer-serial", f"the other director runs serial {peer.serial} of lvs.cf, this one {settings.serial_no}")
        if peer.maintenance:
            yield _warning("peer-maintenance", "the other director is in maintenance: it would not take over")


def _key_words(key: str) -> str:
    words = "there is no heartbeat key, so that the other director's heartbeats cannot be told from forged ones and no role is changed"
    if key not in {"", "missing"}:
        words = f"the heartbeat key cannot be used ({key}), so that no role is changed"
    return f"{words}: pair the two directors (page PAIRING, or lvsctl pair --wait)"


def _not_up(links: Sequence[HeartbeatLinkInfo]) -> Iterator[HeartbeatLinkInfo]:
    return (link for link in links if link.state != "up")


def _silent_words(link: HeartbeatLinkInfo) -> str:
    way = f"the {link.name} heartbeat link ({link.local} to {link.peer})"
    if link.state == "never":
        return f"{way} has carried nothing yet"
    return f"{way} is silent since {time.strftime('%H:%M:%S', time.localtime(link.heard_at))}"


def _error(code: str, message: str) -> Alert:
    return Alert(severity="error", code=code, message=message)


def _warning(code: str, message: str) -> Alert:
    return Alert(severity="warning", code=code, message=message)


def _command(line: str | None, settings: AgentSettings) -> list[str]:
    """The argv of a command line of lvs.cf, only when agent.toml lists exactly this line."""
    return list(permitted(line, settings.root_commands) or ()) if line else []
