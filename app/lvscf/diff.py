"""Two configurations compared, as a list of changes in words.  Pure; owns how a change is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.lvscf.diagnostics import shown
from app.lvscf.keywords import BY_LEVEL, Keyword, Level, ValueType
from app.lvscf.model import Block, Config, GlobalSettings, RealServer, VirtualServer


class Action(StrEnum):
    """What happened to the subject of a change."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.  ``subject``: what it is about ("real server number2 of http"; "" for the globals); ``keyword`` if one changed."""

    action: Action
    subject: str
    words: str
    keyword: str = ""


Item = Block | RealServer


def diff(old: Config, new: Config) -> tuple[Change, ...]:
    """What leads from ``old`` to ``new``, in lvs.cf's order, one line of words each.

    Blocks are matched by name, and renamed ones by their ``key`` when both come from one document.
    """
    if old is new:
        return ()
    return (
        *_fields("", Level.GLOBAL, old.globals, new.globals),
        *_blocks("virtual server", "", Level.BLOCK, old.virtual, new.virtual),
        *_blocks("failover service", "", Level.BLOCK, old.failover, new.failover),
    )


def _fields(subject: str, level: Level, old: GlobalSettings | Item, new: GlobalSettings | Item) -> Iterator[Change]:
    for name, keyword in BY_LEVEL[level].items():
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            place = f"{subject}: " if subject else ""
            yield Change(Action.CHANGED, subject, f"{place}{name} {_said(keyword, before)} → {_said(keyword, after)}", name)


def _said(keyword: Keyword, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(int(value))
    if keyword.type in (ValueType.TEXT, ValueType.COMMAND):
        return f'"{shown(str(value), 300)}"'
    return shown(str(value), 300) or '""'


def _blocks(kind: str, parent: str, level: Level, old: Sequence[Item], new: Sequence[Item]) -> Iterator[Change]:
    if old is new or old == new:
        return
    pairs = _matched(old, new)
    kept = {id(before) for before in pairs.values()}
    for before in old:
        if id(before) not in kept:
            yield Change(
                Action.REMOVED, f"{kind} {shown(before.name)}{parent}", f"{kind} {shown(before.name)}{parent} removed{_size(before)}"
            )
    for position, item in enumerate(new):
        subject = f"{kind} {shown(item.name)}{parent}"
        if position not in pairs:
            yield Change(Action.ADDED, subject, f"{subject} added{_described(item)}")
            yield from _new_servers(item)
            continue
        before = pairs[position]
        if before is item:
            continue
        if before.name != item.name:
            yield Change(Action.RENAMED, subject, f"{kind} {shown(before.name)}{parent} renamed to {shown(item.name)}")
        yield from _fields(subject, level, before, item)
        if isinstance(before, VirtualServer) and isinstance(item, VirtualServer):
            yield from _blocks("real server", f" of {shown(item.name)}", Level.SERVER, before.servers, item.servers)
    yield from _moves(kind, parent, old, new, pairs)


def _matched(old: Sequence[Item], new: Sequence[Item]) -> dict[int, Item]:
    """Position in ``new`` → the same block in ``old``."""
    pairs: dict[int, Item] = {}
    by_name: dict[str, list[Item]] = {}
    for before in reversed(old):
        by_name.setdefault(before.name, []).append(before)
    for position, item in enumerate(new):
        candidates = by_name.get(item.name)
        if not candidates:
            continue
        same = next((before for before in candidates if before.key is not None and before.key == item.key), candidates[-1])
        candidates[:] = [before for before in candidates if before is not same]
        pairs[position] = same
    left = {before.key: before for candidates in by_name.values() for before in candidates if before.key is not None}
    for position, item in enumerate(new):
        if position not in pairs and item.key in left:
            pairs[position] = left.pop(item.key)
    return pairs


def _moves(kind: str, parent: str, old: Sequence[Item], new: Sequence[Item], pairs: dict[int, Item]) -> Iterator[Change]:
    place = {id(before): position for position, before in enumerate(old)}
    order = [place[id(pairs[position])] for position in sorted(pairs)]
    if order != sorted(order):
        names = ", ".join(shown(item.name) for item in new)
        yield Change(Action.MOVED, parent, f"{kind}s{parent} in a new order: {shown(names, 200)}")


def _described(item: Item) -> str:
    if isinstance(item, RealServer):
        port = f":{item.port}" if item.port is not None else ""
        return f": {shown(item.address)}{port}, weight {item.weight}, {'active' if item.active else 'inactive'}"
    address = f"{item.address} " if item.address else ""
    service = f"fwmark {item.fwmark}" if item.fwmark else f"port {item.port} {item.protocol}"
    return f": {shown(address)}{service}, {item.scheduler}, {'active' if item.active else 'inactive'}"


def _new_servers(item: Item) -> Iterator[Change]:
    if isinstance(item, VirtualServer):
        for server in item.servers:
            subject = f"real server {shown(server.name)} of {shown(item.name)}"
            yield Change(Action.ADDED, subject, f"{subject} added{_described(server)}")


def _size(item: Item) -> str:
    if isinstance(item, VirtualServer) and item.servers:
        count = len(item.servers)
        return f" with its {count} real servers" if count > 1 else " with its real server"
    return ""
