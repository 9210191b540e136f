"""Virtual servers that lvs.cf does not name, as lvs.cf would say them.

Pure.  What lvs.cf has no word for (an unknown scheduler) becomes its default: the administrator sees the result before it is accepted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from app.lvscf.model import NO_ADDRESS, Config, Forwarding, HostDevice, Protocol, RealServer, Scheduler, VirtualServer
from lvsagent.core.hosts import host_prefix
from lvsagent.core.table import Entry, Server, ServerKey, Service, ServiceKey


def as_blocks(foreign: Iterable[tuple[ServiceKey, Entry]], config: Config) -> tuple[VirtualServer, ...]:
    """One virtual server for each; named so that no name of ``config`` is taken twice, on the device that its virtual servers use."""
    names = {one.name for one in config.virtual}
    devices = [one.address.device for one in config.virtual if one.address]
    blocks: list[VirtualServer] = []
    for key, entry in foreign:
        name = _free(f"fwmark-{key.fwmark}" if key.fwmark else f"{key.address}-{key.port}", names)
        names.add(name)
        blocks.append(_block(name, key, entry, (config.globals.network, _device(key, devices, config))))
    return tuple(blocks)


def _free(name: str, names: set[str]) -> str:
    return name if name not in names else next(f"{name}-{n}" for n in range(2, len(names) + 3) if f"{name}-{n}" not in names)


def _device(key: ServiceKey, devices: list[str], config: Config) -> str:
    """Where the address is already, else a fresh alias on the interface that is used most."""
    there = next((one.address.device for one in config.virtual if one.address and one.address.host == key.address), "")
    if there or key.fwmark:
        return there
    interfaces = [device.partition(":")[0] for device in devices] or ["eth0"]
    interface = max(interfaces, key=interfaces.count)
    device = next(f"{interface}:{n}" for n in range(1, len(devices) + 2) if f"{interface}:{n}" not in devices)
    devices.append(device)
    return device


def _block(name: str, key: ServiceKey, entry: Entry, place: tuple[Forwarding, str]) -> VirtualServer:
    network, device = place
    service = entry.service
    schedulers = {one.value: one for one in Scheduler}
    return VirtualServer(
        name=name,
        active=True,
        address=None if key.fwmark else HostDevice(key.address, device),
        fwmark=key.fwmark,
        port=key.port or 80,
        protocol=key.protocol or Protocol.TCP,
        scheduler=schedulers.get(service.scheduler, Scheduler.WLC),
        persistent=service.persistence_timeout_s,
        pmask=_mask(service, key),
        one_packet=service.one_packet,
        servers=tuple(_server(place + 1, one, server, key, network) for place, (one, server) in enumerate(entry.servers.items())),
    )


def _mask(service: Service, key: ServiceKey) -> str:
    if not service.persistence_timeout_s or service.persistence_prefix == host_prefix(key.family):
        return NO_ADDRESS
    if key.family == "ipv6":
        return str(service.persistence_prefix)
    return str(ipaddress.ip_network((0, service.persistence_prefix)).netmask)


def _server(number: int, key: ServerKey, server: Server, service: ServiceKey, network: Forwarding) -> RealServer:
    return RealServer(
        name=f"server{number}",
        address=key.address,
        active=True,
        port=key.port if key.port != service.port else None,
        weight=server.weight,
        forward=server.forwarding if server.forwarding is not network else None,
        upper_threshold=server.upper_threshold,
        lower_threshold=server.lower_threshold,
    )
