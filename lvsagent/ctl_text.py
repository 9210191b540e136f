"""What lvsctl prints: the agent's answers as aligned text for people, and as plain values for ``--json``.

Pure.  Everything that came out of lvs.cf or off the network is made safe for a terminal here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from lvsagent.wire import (
    CheckInfo,
    DiagnosticInfo,
    Event,
    GuardInfo,
    PeerPlan,
    ProcessInfo,
    RealServerState,
    Receipt,
    RevisionInfo,
    State,
    TakeOutInfo,
    VirtualServerState,
)

Row = Sequence[object]


def safe(value: object) -> str:
    """Text without control characters: a name out of lvs.cf must not drive the terminal."""
    text = str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def table(head: Row, rows: Iterable[Row], *, right: frozenset[int] = frozenset()) -> str:
    """Columns aligned, the numbered ones to the right; the last is never padded."""
    lines = [[safe(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    last = len(widths) - 1

    def cell(index: int, text: str) -> str:
        if index in right:
            return text.rjust(widths[index])
        return text if index == last else text.ljust(widths[index])

    return "".join("  ".join(cell(index, text) for index, text in enumerate(line)).rstrip() + "\n" for line in lines)


def moment(at: float) -> str:
    """A time of day with its date, local; a dash for never."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else "-"


def endpoint(address: str, port: int) -> str:
    """``address:port``, with brackets where the address has colons."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def service(virtual: VirtualServerState) -> str:
    """What a virtual server answers to."""
    if virtual.fwmark:
        return f"fwmark {virtual.fwmark}"
    return f"{endpoint(virtual.address, virtual.port)} {virtual.protocol}"


# --- status --------------------------------------------------------------------------------------------------------------------


def status_values(state: State) -> dict[str, Any]:
    """The fixed shape of ``lvsctl status --json``."""
    return {
        "node": state.role.identity,
        "role": state.role.role,
        "serial": state.config.serial,
        "host": state.host,
        "reason": state.role.reason,
        "in_step": state.config.in_step,
        "data_plane": {"kind": state.data_plane.kind, "state": state.data_plane.state, "reason": state.data_plane.reason},
        "addresses": [msgspec.to_builtins(address) for address in state.role.addresses],
        "processes": [_process_values(process) for process in state.processes],
        "virtual_servers": [_virtual_values(virtual) for virtual in state.virtual_servers],
        "maintenance": state.role.maintenance,
        "links": [msgspec.to_builtins(link) for link in state.role.links],
        "peer": None if state.peer.state == "none" else msgspec.to_builtins(state.peer),
        "alerts": [msgspec.to_builtins(alert) for alert in state.alerts],
        "guard": msgspec.to_builtins(state.guard),
    }


def _process_values(process: ProcessInfo) -> dict[str, Any]:
    return {
        "name": process.name,
        "state": process.state,
        "pid": process.pid,
        "since": process.since,
        "restarts": process.restarts,
        "reason": process.reason,
    }


def _virtual_values(virtual: VirtualServerState) -> dict[str, Any]:
    return {
        "name": virtual.name,
        "state": virtual.state,
        "reason": virtual.reason,
        "address": virtual.address,
        "port": virtual.port,
        "protocol": virtual.protocol,
        "fwmark": virtual.fwmark,
        "scheduler": virtual.scheduler,
        "real_servers": [_real_values(real) for real in virtual.real_servers],
    }


def _real_values(real: RealServerState) -> dict[str, Any]:
    return {
        "name": real.name,
        "address": real.address,
        "port": real.port,
        "state": real.state,
        "weight": real.weight,
        "reason": real.reason,
        "active_connections": real.counters.active,
        "order": msgspec.to_builtins(real.order),
        "load": msgspec.to_builtins(real.load),
    }


def status_text(state: State) -> str:
    """The director, its processes, its virtual servers with their real servers, and what is wrong."""
    head = [
        f"{state.host}: {state.role.identity}, {role_words(state)} ({state.role.reason})",
        *peer_lines(state),
        f"lvs.cf: {state.config.path}, serial {state.config.serial}, "
        + ("in force" if state.config.in_step else f"not in force: {state.config.reason}"),
        f"data plane: {state.data_plane.kind}, {state.data_plane.state}"
        + (f": {state.data_plane.reason}" if state.data_plane.reason else ""),
        *([f"by hand: {state.decided} decided by operators, see lvsctl server list"] if state.decided else []),
        *([guard_text(state.guard)] if state.guard else []),
    ]
    parts = ["".join(safe(line) + "\n" for line in head)]
    if state.processes:
        parts.append(_processes_text(state.processes))
    if state.role.addresses:
        rows = [
            (f"{address.address}/{address.prefix}", address.label or address.interface, address.state, address.reason)
            for address in state.role.addresses
        ]
        parts.append(table(("ADDRESS", "DEVICE", "STATE", "REASON"), rows))
    parts.append(_virtual_text(state))
    if state.alerts:
        parts.append("".join(f"{alert.severity}: {safe(alert.message)}\n" for alert in state.alerts))
    return "\n".join(parts)


def role_words(state: State) -> str:
    """This director's role, and that it is kept from being active."""
    return f"{state.role.role}, in maintenance" if state.role.maintenance else state.role.role


def peer_lines(state: State) -> list[str]:
    """The other director and the ways to it; nothing without one."""
    peer = state.peer
    if peer.state == "none":
        return []
    heard = f", {peer.role}, serial {peer.serial}, {peer.up} of {peer.total} real servers up" if peer.state == "alive" else ""
    heard += ", in maintenance" if peer.maintenance else ""
    links = ", ".join(f"{link.name} {link.state}" for link in state.role.links) or "no links"
    return [f"the other director {peer.name or peer.address}: {peer.state}{heard}; heartbeat: {links}"]


def guard_text(guard: GuardInfo) -> str:
    """One line about the change that is watched, or how that ended."""
    head = f"guarded change, serial {guard.serial}"
    if guard.state == "watching":
        watched = f"; watched: {', '.join(guard.watched)}" if guard.watched else ""
        return (
            f"{head}: goes back to serial {guard.previous_serial} in {guard.left_s:.0f} s unless confirmed (lvsctl guard confirm){watched}"
        )
    return f"{head}: {guard.state}" + (f": {guard.reason}" if guard.reason else "")


def _processes_text(processes: Sequence[ProcessInfo]) -> str:
    rows = [(each.name, each.state, each.pid or "-", moment(each.since), each.restarts, each.reason) for each in processes]
    return table(("PROCESS", "STATE", "PID", "SINCE", "RESTARTS", "REASON"), rows, right=frozenset({2, 4}))


def _virtual_text(state: State) -> str:
    if not state.virtual_servers:
        return "no virtual servers\n" if not state.virtual_total else "no virtual server of that name\n"
    rows: list[Row] = []
    for virtual in state.virtual_servers:
        rows.append((virtual.name, service(virtual), virtual.state, "", virtual.counters.active, virtual.scheduler, virtual.reason))
        rows.extend(
            (
                f"  {real.name}",
                endpoint(real.address, real.port),
                real.state,
                "-" if real.weight is None else real.weight,
                real.counters.active,
                real.forwarding,
                real.reason,
            )
            for real in virtual.real_servers
        )
    return table(("NAME", "ADDRESS", "STATE", "WEIGHT", "ACTIVE", "HOW", "REASON"), rows, right=frozenset({3, 4}))


# --- the others ----------------------------------------------------------------------------------------------------------------


def receipt_text(receipt: Receipt) -> str:
    """What a configuration leads to (``plan``) or led to (``apply``)."""
    lines = diagnostics_text(receipt.diagnostics)
    if receipt.steps:
        rows = [(step.action, step.what, step.name, step.connections or "", step.detail) for step in receipt.steps]
        lines += table(("ACTION", "WHAT", "NAME", "CONNECTIONS", "DETAIL"), rows, right=frozenset({3}))
    else:
        lines += "nothing changes\n"
    lines += "".join(f"refused: {safe(each.subject)}: {safe(each.reason)}\n" for each in receipt.refusals)
    if receipt.dry_run:
        lines += take_out_text(receipt.takes_out) if receipt.takes_out else ""
        lines += _peer_plan_text(receipt.peer_plan)
        return lines + (f"plan {receipt.plan}\n" if receipt.plan else "")
    outcome = "applied" if receipt.applied else "not applied"
    became = f", revision {receipt.revision}" if receipt.revision else ""
    lines += f"{'written' if receipt.written else 'unchanged'}, {outcome}, serial {receipt.serial}{became}\n"
    return lines + (f"the other director: {safe(receipt.peer.words)}\n" if receipt.peer else "")


def _peer_plan_text(plan: PeerPlan | None) -> str:
    if plan is None:
        return ""
    if plan.words:
        return f"on the other director: not known: {safe(plan.words)}\n"
    rows = [(step.action, step.what, step.name, step.connections or "", step.detail) for step in plan.steps]
    told = table(("ACTION", "WHAT", "NAME", "CONNECTIONS", "DETAIL"), rows, right=frozenset({3})) if rows else "nothing changes\n"
    return f"\non {safe(plan.node)}:\n{told}" + "".join(f"refused: {safe(each.subject)}: {safe(each.reason)}\n" for each in plan.refusals)


def take_out_text(takes: TakeOutInfo) -> str:
    """What a large change takes out of service, a name a line."""
    lines = []
    for names, count, total, what in (
        (takes.virtual, takes.virtual_count, takes.virtual_total, "virtual server"),
        (takes.real, takes.real_count, takes.real_total, "real server"),
    ):
        if count:
            lines += [f"takes out of service {count} of {total} {what}s:", *(f"  {what} {name}" for name in names)]
            lines += [f"  and {count - len(names)} more"] if count > len(names) else []
    return "".join(f"{safe(line)}\n" for line in lines)


def diagnostics_text(diagnostics: Iterable[DiagnosticInfo]) -> str:
    """A finding a line."""
    return "".join(
        (f"line {each.line}: " if each.line else "") + f"{each.severity}: {safe(each.message)} [{each.code}]\n" for each in diagnostics
    )


def events_text(events: Sequence[Event]) -> str:
    """Oldest first, as a log reads."""
    rows = [(moment(event.at), event.severity, event.kind, event.message, event.actor) for event in reversed(events)]
    return table(("AT", "SEVERITY", "KIND", "WHAT HAPPENED", "WHO"), rows) if rows else "nothing has happened yet\n"


def checks_text(checks: Sequence[CheckInfo]) -> str:
    """Every check, its last result and why."""
    rows = [
        (each.key, each.target, each.what, each.state, moment(each.last_at), f"{each.last_duration_s * 1000:.1f}", each.reason)
        for each in checks
    ]
    head = ("CHECK", "TARGET", "WHAT IT DOES", "STATE", "LAST", "MS", "REASON")
    return table(head, rows, right=frozenset({5})) if rows else "no checks\n"


# --- the history ---------------------------------------------------------------------------------------------------------------


def history_text(revisions: Sequence[RevisionInfo], total: int) -> str:
    """A revision a line, newest first."""
    if not revisions:
        return "the history has not begun: there is no lvs.cf yet\n"
    rows = [
        (one.number, one.serial, moment(one.at), one.actor or "-", one.origin, ended(one), one.comment or "; ".join(one.changes[:3]))
        for one in revisions
    ]
    more = total - len(revisions)
    head = ("NUMBER", "SERIAL", "AT", "WHO", "HOW", "OUTCOME", "WHAT")
    return table(head, rows, right=frozenset({0, 1})) + (f"and {more} more: --limit {total}\n" if more > 0 else "")


def ended(revision: RevisionInfo) -> str:
    """How it ended, and that only this line is left of it."""
    return revision.outcome if revision.kept else f"{revision.outcome}, no text"


def revision_text(revision: RevisionInfo) -> str:
    """Everything that is known of one."""
    rows = [
        ("revision", revision.number),
        ("serial", revision.serial),
        ("at", moment(revision.at)),
        ("who", f"{revision.actor or '-'} on {revision.node}"),
        ("how", revision.origin),
        ("comment", revision.comment or "-"),
        ("outcome", f"{ended(revision)}{': ' if revision.outcome_words else ''}{revision.outcome_words}"),
        ("etag", revision.etag),
        ("id", revision.id),
        ("made from", " and ".join(parent for parent in (revision.parent, revision.other_parent) if parent) or "-"),
    ]
    lines = "".join(f"{name + ':':<12}{safe(value)}\n" for name, value in rows)
    return lines + "".join(f"  {safe(change)}\n" for change in revision.changes)
