"""keepalived's VRRP instances and global definitions as lvs.cf's global settings and places of addresses.

Owns these blocks.  A keepalived.conf is one director's; lvs.cf is both directors', so who the other one is comes from ``unicast_peer``.
"""

from __future__ import annotations

from itertools import pairwise

from app.lvscf.diagnostics import shown
from app.lvscf.foreign.assemble import Found, Place
from app.lvscf.foreign.keepalived_grammar import Statement
from app.lvscf.foreign.keepalived_words import GLOBAL_DEFS, SYNC_GROUP, VRRP, look_up
from app.lvscf.foreign.values import number_of, seconds_of
from app.lvscf.literals import ip_of
from app.lvscf.model import NO_ADDRESS

PRIORITY = 100
ADVERTS = 3
"""So many silent intervals make the other one dead, there and in a new lvs.cf."""
_ADDRESSES = frozenset(("virtual_ipaddress", "virtual_ipaddress_excluded"))
_TIMEOUTS = {"tcp": "tcp_timeout", "tcpfin": "tcpfin_timeout", "udp": "udp_timeout"}
_PROGRAMS = {"notify_master": "active_cmd", "notify_backup": "inactive_cmd"}


class Vrrp:
    """Collects what the file says of directors and addresses; ``end()`` turns it into settings."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._ledger = found.ledger
        self._settings = found.settings
        self._instances: list[Statement] = []

    def took(self, statement: Statement) -> bool:
        """Whether a top-level statement is one of these; then it is dealt with."""
        match statement.word:
            case "global_defs":
                self._ledger.structure(statement.line)
                for child in statement.inner:
                    self._global(child)
            case "vrrp_instance":
                self._instance(statement)
            case "vrrp_sync_group":
                self._ledger.needless(statement.line, "all virtual addresses move together")
                for child in statement.inner:
                    self._group(child)
            case word if word in GLOBAL_DEFS or word in {"lvs_sync_daemon", "lvs_timeouts"}:
                self._global(statement)
            case _:
                return False
        return True

    def end(self) -> None:
        """After the last statement."""
        if not self._instances:
            self._ledger.remark("no vrrp_instance: who the directors are is not in the source, REDUNDANCY sets it")

    # --- global definitions ------------------------------------------------------------------------------------------------------

    def _global(self, child: Statement) -> None:
        if child.word == "lvs_sync_daemon":
            self._sync_daemon(child)
        elif child.word == "lvs_timeouts":
            for name, value in zip(child.rest[::2], child.rest[1::2], strict=False):
                if name in _TIMEOUTS:
                    self._settings.number(child.line, _TIMEOUTS[name], value)
        else:
            look_up(self._ledger, child, GLOBAL_DEFS, "in global_defs")

    def _sync_daemon(self, child: Statement) -> None:
        """``lvs_sync_daemon IFACE [[inst] NAME] [id N] [maxlen N] [port N] …``."""
        if not child.rest:
            self._ledger.error(child.line, "the sync daemon has no interface; left out")
            return
        self._settings.put(child.line, "syncdaemon", value=True)
        self._settings.put(child.line, "syncd_iface", child.value())
        words = list(child.rest[1:])
        for name, value in pairwise(words):
            if name == "id":
                self._settings.number(child.line, "syncd_id", value)
            elif name in {"maxlen", "port", "ttl", "group"}:
                self._ledger.lost(child.line, f"{name}: the sync daemon runs with the kernel's own")

    def _group(self, child: Statement) -> None:
        if child.word in _PROGRAMS:
            self._program(child)
            return
        look_up(self._ledger, child, SYNC_GROUP, "in a vrrp_sync_group")

    # --- an instance -------------------------------------------------------------------------------------------------------------

    def _instance(self, instance: Statement) -> None:
        first = not self._instances
        self._instances.append(instance)
        self._ledger.needless(instance.line, "all virtual addresses move together with the role")
        own = {child.word: child for child in instance.inner}
        device = own["interface"].value() if "interface" in own else ""
        for child in instance.inner:
            if child.word in _ADDRESSES:
                self._places(child, device)
            elif child.word in _READ and first:
                self._ledger.structure(child.line)
            elif child.word in _READ:
                self._ledger.needless(child.line, "one role for all: the first instance's settings count")
            elif child.word in _PROGRAMS:
                self._program(child)
            else:
                look_up(self._ledger, child, VRRP, "in a vrrp_instance")
        if first:
            self._role(instance, own)

    def _program(self, child: Statement) -> None:
        command = " ".join(child.rest[:1])
        self._settings.put(child.line, _PROGRAMS[child.word], command, "it runs only if agent.toml's root_commands lists it")

    def _places(self, block: Statement, default: str) -> None:
        self._ledger.structure(block.line)
        for child in block.inner:
            text, _slash, length = child.word.partition("/")
            host = ip_of(text)
            prefix = number_of(length) if length else 128 if host and ":" in host else 32
            if host is None or host == NO_ADDRESS or prefix is None or not 1 <= prefix <= (128 if ":" in host else 32):
                self._ledger.error(child.line, f"{shown(child.word)} is no address; left out")
                continue
            options = dict(pairwise(child.rest))
            device = options.get("dev", default)
            if not device:
                self._ledger.error(child.line, "no interface is named for it; left out")
                continue
            self._found.places.append(Place(child.line, host, prefix, device, options.get("label", "")))

    def _role(self, instance: Statement, own: dict[str, Statement]) -> None:
        """Who is who, how often they speak, and who is preferred."""
        settings = self._settings
        if "interface" in own:
            self._ledger.needless(own["interface"].line, "heartbeats leave by the host's own routes")
        self._directors(instance, own)
        if "advert_int" in own:
            self._interval(own["advert_int"], own.get("down_timer_adverts"))
        elif "down_timer_adverts" in own:
            self._ledger.needless(own["down_timer_adverts"].line, "deadtime says it, together with keepalive")
        if "nopreempt" in own:
            self._ledger.needless(own["nopreempt"].line, "a director that comes back stays standby")
        elif "unicast_peer" in own:
            settings.put(instance.line, "preempt", value=True)
        if "preempt_delay" in own:
            settings.seconds(own["preempt_delay"].line, "preempt_delay", own["preempt_delay"].value())
        if "use_vmac" in own:
            settings.put(own["use_vmac"].line, "virtual_mac", value=True)
        self._links(instance, own)

    def _links(self, instance: Statement, own: dict[str, Statement]) -> None:
        """keepalived watches an instance's own interface unless it is told not to, and those of track_interface."""
        words = "a director with a dead link gives up its role, as there"
        tracked = own.get("track_interface")
        if tracked or "dont_track_primary" not in own:
            self._settings.put((tracked or own.get("interface") or instance).line, "monitor_links", 1, words)
        if "dont_track_primary" in own:
            self._ledger.became(own["dont_track_primary"].line, f"monitor_links = {int(tracked is not None)}")
        for child in tracked.inner if tracked else ():
            self._ledger.needless(child.line, "monitor_links watches every interface that lvs.cf names")

    def _interval(self, statement: Statement, adverts: Statement | None) -> None:
        interval = seconds_of(statement.value())
        count = number_of(adverts.value()) if adverts else ADVERTS
        if not interval or not count:
            self._ledger.error(statement.line, f"{shown(statement.value())} is no interval; left out")
            return
        self._settings.put(statement.line, "keepalive", interval)
        dead = round(interval * count, 6)
        self._settings.put((adverts or statement).line, "deadtime", int(dead) if dead == int(dead) else dead)

    def _directors(self, instance: Statement, own: dict[str, Statement]) -> None:
        source = own.get("unicast_src_ip") or own.get("mcast_src_ip")
        peers = own["unicast_peer"].inner if "unicast_peer" in own else []
        here = ip_of(source.value()) if source else None
        there = ip_of(peers[0].word) if peers else None
        primary = own["state"].value() == "MASTER" if "state" in own else False
        if "priority" in own:
            primary = primary or (number_of(own["priority"].value()) or 0) > PRIORITY
        for word in ("state", "priority"):
            if word in own:
                self._ledger.became(own[word].line, f"this director is the {'primary' if primary else 'backup'}")
        if here and source:
            self._settings.put(source.line, "primary" if primary else "backup", here)
        if there:
            self._settings.put(peers[0].line, "backup" if primary else "primary", there)
        if here and there:
            self._settings.put(own["unicast_peer"].line, "backup_active", value=True)
        else:
            self._ledger.lost(
                instance.line, "the directors' own addresses are not in it (unicast_src_ip, unicast_peer): REDUNDANCY sets them"
            )
        for more in peers[1:]:
            self._ledger.lost(more.line, "lvs.cf has two directors")


_READ = frozenset(
    (
        *("state", "priority", "interface", "advert_int", "down_timer_adverts", "nopreempt", "preempt", "preempt_delay", "use_vmac"),
        *("unicast_src_ip", "unicast_peer", "mcast_src_ip", "track_interface", "dont_track_primary"),
    )
)
