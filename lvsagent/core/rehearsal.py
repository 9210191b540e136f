"""What a director can measure of its own service, and how it asks for it.

Pure: lvs.cf in, an address to ask (or the reason why not, in words) out.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.lvscf.model import Config, Forwarding, Protocol, VirtualServer

SHORTEST_S, LONGEST_S = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class Plane:
    """The data plane: one that is a proxy answers everywhere, and on ports that are ``port_offset`` higher."""

    proxy: bool = False
    port_offset: int = 0


def why_not_measured(virtual: VirtualServer, network: Forwarding, plane: Plane) -> str:
    """The reason why a director cannot measure this one, ``""`` when it can."""
    if not virtual.active:
        return "it is not active"
    if virtual.fwmark or virtual.address is None:
        return "it has no address of its own, only a firewall mark"
    if virtual.protocol is not Protocol.TCP:
        return "only TCP is measured"
    if not any(server.active for server in virtual.servers):
        return "it has no active real server"
    direct = [server for server in virtual.servers if server.active and (server.forward or network) is not Forwarding.NAT]
    if direct and not plane.proxy:
        return (
            f"its real server {direct[0].name} answers clients directly, which a director that holds the address itself cannot be: "
            "measure it on a client, with lvsctl rehearse"
        )
    return ""


def target_of(config: Config, name: str, plane: Plane) -> tuple[str, str]:
    """Where to ask the virtual server ``name`` (a URL where its check sends a GET, else HOST:PORT), or ``""`` and why not."""
    found = next((one for one in config.virtual if one.name == name), None)
    if found is None:
        return "", f"lvs.cf has no virtual server {name}"
    if reason := why_not_measured(found, config.globals.network, plane):
        return "", f"{name} cannot be measured here: {reason}"
    host = found.address.host if found.address else ""
    place = f"{f'[{host}]' if ':' in host else host}:{found.port + plane.port_offset}"
    words = (found.send or "").split()
    return (f"http://{place}{words[1]}" if words[:1] == ["GET"] and words[1:] and words[1].startswith("/") else place), ""
