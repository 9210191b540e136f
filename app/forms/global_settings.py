"""GLOBAL SETTINGS: this cluster's first director, the kernel's idle limits, how packets are forwarded, and the NAT router."""

from __future__ import annotations

from app.forms.base import About, Group, Setting, device_of, host_of
from app.forms.targets import GlobalsForm
from app.forms.values import MASKS, Choice, Device, Host, Mask, Number, Seconds
from app.lvscf.model import Forwarding, ServiceKind

NETWORKS = ((Forwarding.NAT.value, "NAT"), (Forwarding.DIRECT.value, "Direct Routing"), (Forwarding.TUNNEL.value, "Tunneling"))
RSH_REFUSED = "rsh is refused: it sends what it reads and the commands it runs in the clear, to whoever answers. Choose ssh."
SYNC_TOOLS = (("rsh", "rsh (refused: nothing on its way is protected)"), ("ssh", "ssh"), ("rsync", "rsync (over ssh)"))
SERVICES = ((ServiceKind.LVS.value, "lvs: virtual servers"), (ServiceKind.FOS.value, "fos: failover services"))

_SECONDS = Number(high=86400 * 365, what="number of seconds", required=False, blank=0)
_ROUTER_HOST = host_of("nat_router")
_ROUTER_DEVICE = device_of("nat_router")


class GlobalSettingsForm(GlobalsForm):
    """Edits ``Config.globals``."""

    groups = (
        Group("This director pair", ("primary", "primary_private", "rsh_command", "service")),
        Group("Idle connections", ("tcp_timeout", "tcpfin_timeout", "udp_timeout")),
        Group("Health checks", ("mass_failure_hold",), "Not in Piranha."),
        Group("Forwarding", ("network",)),
        Group(
            "NAT router", ("nat_router_ip", "nat_nmask", "nat_router_device"), "Used with NAT only; kept in lvs.cf with the other types."
        ),
    )

    primary = Setting(
        "Primary server public IP",
        Host(),
        About(keyword="primary", help="The first director's own address on the clients' side. Not a virtual address."),
    )
    primary_private = Setting(
        "Primary server private IP",
        Host(required=False),
        About(keyword="primary_private", help="Its address on the real servers' side: a second path for the heartbeat. May be blank."),
    )
    rsh_command = Setting(
        "Sync tool",
        Choice(SYNC_TOOLS, refused=(("rsh", RSH_REFUSED),)),
        About(
            keyword="rsh_command",
            control="radio",
            piranha="ssh",
            help="How lvs.cf goes to the other director. With rsh it does not. The load of real servers is asked for over ssh, always.",
        ),
    )
    service = Setting(
        "LVS type",
        Choice(SERVICES, ServiceKind),
        About(keyword="service", control="radio", piranha="lvs", help="Which kind of block is in use. Both kinds may stay in the file."),
    )
    tcp_timeout = Setting(
        "TCP timeout",
        _SECONDS,
        About(
            keyword="tcp_timeout",
            unit="s",
            piranha="blank",
            help="An established TCP connection without traffic is forgotten after this. Blank or 0: the kernel's own.",
        ),
    )
    tcpfin_timeout = Setting(
        "TCP FIN timeout",
        _SECONDS,
        About(keyword="tcpfin_timeout", unit="s", piranha="blank", help="The same once a side has closed. Blank or 0: the kernel's own."),
    )
    udp_timeout = Setting(
        "UDP timeout",
        _SECONDS,
        About(
            keyword="udp_timeout",
            unit="s",
            piranha="blank",
            help="The same for UDP, which has no end of its own. Blank or 0: the kernel's own.",
        ),
    )
    mass_failure_hold = Setting(
        "Mass-failure hold",
        Seconds(blank=0),
        About(
            keyword="mass_failure_hold",
            unit="s",
            help="When most servers of several services fail at once, they stay in service so long: it is hardly the servers. "
            "No longer than clients may be sent to dead ones. Blank: off.",
        ),
    )
    network = Setting(
        "Use network type",
        Choice(NETWORKS, Forwarding),
        About(
            keyword="network",
            control="radio",
            piranha="NAT",
            help="How packets reach every real server. What the real servers then need is below.",
        ),
    )
    nat_router_ip = Setting(
        "NAT Router IP",
        Host(required=False),
        About(
            keyword="nat_router",
            read=_ROUTER_HOST[0],
            put=_ROUTER_HOST[1],
            help="The address that real servers have as their default gateway. It moves between the two directors.",
        ),
    )
    nat_nmask = Setting(
        "NAT Router netmask",
        Mask(),
        About(keyword="nat_nmask", piranha="255.255.255.0", suggestions=MASKS, help="Blank: chosen from the address."),
    )
    nat_router_device = Setting(
        "NAT Router device",
        Device(),
        About(
            keyword="nat_router",
            read=_ROUTER_DEVICE[0],
            put=_ROUTER_DEVICE[1],
            help="An alias on the inner interface, such as eth0:1.",
        ),
    )

    def check(self) -> None:
        self.check_pair("nat_router_ip", "nat_router_device", "The NAT router needs", "eth0:1")
