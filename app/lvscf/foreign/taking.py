"""An imported configuration taken into the present one: all of it in its place, or its virtual servers added.

Owns what stays: comments and unknown lines are the writer's, the serial the console's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.lvscf.foreign.report import Imported
from app.lvscf.model import Config, Forwarding, RealServer, VirtualServer


@dataclass(frozen=True, slots=True)
class Taken:
    """The new configuration, and what was left out or changed on the way, in words."""

    config: Config
    words: tuple[str, ...] = ()


def replaced(present: Config, imported: Imported) -> Taken:
    """The imported virtual servers in place of the present ones; of the global settings those that the source does say."""
    found = {name: getattr(imported.config.globals, name) for name in imported.found}
    settings = replace(present.globals, **found)
    return Taken(replace(present, globals=settings, virtual=imported.config.virtual))


def added(present: Config, imported: Imported) -> Taken:
    """The imported virtual servers behind the present ones.  Global settings stay; a service that is there already is left out."""
    words: list[str] = []
    services = {_key(virtual): virtual.name for virtual in present.virtual}
    names = {virtual.name for virtual in present.virtual}
    new: list[VirtualServer] = []
    for virtual in imported.config.virtual:
        if _key(virtual) in services:
            words.append(f"{virtual.name} is left out: lvs.cf has this service already, as {services[_key(virtual)]}")
            continue
        name = _free(virtual.name, names)
        names.add(name)
        if name != virtual.name:
            words.append(f"{virtual.name} is named {name}: lvs.cf has another of that name")
        new.append(_forwarded(replace(virtual, name=name), imported.config.globals.network, present.globals.network))
    return Taken(replace(present, virtual=(*present.virtual, *new)), tuple(words))


def _key(virtual: VirtualServer) -> tuple[object, ...]:
    """What tells one service from another."""
    if virtual.fwmark:
        return (virtual.fwmark,)
    return (virtual.address.host if virtual.address else "", virtual.port, virtual.protocol)


def _free(wanted: str, names: set[str]) -> str:
    name, number = wanted, 1
    while name in names:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _forwarded(virtual: VirtualServer, there: Forwarding, here: Forwarding) -> VirtualServer:
    """Every real server keeps its forwarding method, though ``network`` is another one here."""
    if there is here:
        return virtual

    def own(server: RealServer) -> RealServer:
        method = server.forward or there
        return replace(server, forward=None if method is here else method)

    return replace(virtual, servers=tuple(own(server) for server in virtual.servers))
