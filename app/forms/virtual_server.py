"""VIRTUAL SERVER: where clients arrive, how they are spread, what happens when a server fails.

Also activating, deleting and adding one.
"""

from __future__ import annotations

from typing import Any

from app.forms.base import About, Group, Setting, device_of, host_of
from app.forms.targets import BlockForm
from app.forms.values import MASKS, Choice, ChoiceOrNone, Device, Flag, Host, Line, Mask, Number, Rejected
from app.lvscf.mark_ports import BadPortsError, read_ports
from app.lvscf.model import PersistenceEngine, Protocol, Scheduler, VirtualServer

NEW = VirtualServer(
    name="",
    vip_nmask="255.255.255.0",
    timeout=6,
    reentry=15,
    send="GET / HTTP/1.0\\r\\n\\r\\n",
    expect="HTTP",
)
"""What a new virtual server starts as: inactive, with Piranha's screen defaults."""

SCHEDULERS = (
    (Scheduler.RR.value, "Round robin"),
    (Scheduler.WRR.value, "Weighted round robin"),
    (Scheduler.LC.value, "Least-connections"),
    (Scheduler.WLC.value, "Weighted least-connections"),
    (Scheduler.LBLC.value, "Locality-Based Least-Connection"),
    (Scheduler.LBLCR.value, "Locality-Based Least-Connections with Replication"),
    (Scheduler.DH.value, "Destination Hash"),
    (Scheduler.SH.value, "Source Hash"),
    (Scheduler.SED.value, "Shortest Expected Delay (not in Piranha)"),
    (Scheduler.NQ.value, "Never Queue (not in Piranha)"),
    (Scheduler.MH.value, "Maglev Hash (not in Piranha)"),
    (Scheduler.FO.value, "Weighted Failover (not in Piranha)"),
    (Scheduler.OVF.value, "Weighted Overflow (not in Piranha)"),
)
PROTOCOLS = ((Protocol.TCP.value, "TCP"), (Protocol.UDP.value, "UDP"), (Protocol.SCTP.value, "SCTP (not in Piranha)"))
LOAD_MONITORS = (("none", "none"), ("rup", "rup"), ("ruptime", "ruptime"), ("uptime", "uptime"))
ENGINES = (("", "Its address"), (PersistenceEngine.SIP.value, "The call (SIP's Call-ID)"))
QUIESCE = (("", "No: remove it"), ("1", "Yes: keep its connections"))

_VIP = host_of("address")
_DEVICE = device_of("address")


class _Quiesce(Choice):
    """A yes or no that is better said in words."""

    def show(self, value: Any) -> str:
        return "1" if value else ""

    def parse(self, text: str) -> Any:
        return bool(text)


class _Ports(Line):
    """The value of ``mark_ports``."""

    def parse(self, text: str) -> str | None:
        text = " ".join(text.split())
        try:
            if text:
                read_ports(text, Protocol.TCP)
        except BadPortsError as error:
            raise Rejected(f"{str(error)[0].upper()}{str(error)[1:]}.") from None
        return super().parse(text)


class VirtualServerForm(BlockForm):
    """Edits one ``virtual`` block, found by its name."""

    groups = (
        Group("Where clients arrive", ("name", "vip", "vip_nmask", "device", "port", "protocol", "fwmark")),
        Group("How they are spread", ("scheduler", "persistent", "pmask", "load_monitor")),
        Group("When a server fails", ("timeout", "reentry", "quiesce_server", "sorry_server")),
        Group(
            "Not in Piranha",
            ("quorum", "hysteresis", "sorry_port", "scheduler_flags", "one_packet", "pe", "mark_ports"),
            "Left blank, everything is as in Piranha.",
        ),
    )

    name = Setting("Name", Line("name", required=True, strip=True), About(keyword="virtual", help="For people; not a host name."))
    vip = Setting(
        "Virtual IP Address",
        Host(required=False),
        About(keyword="address", read=_VIP[0], put=_VIP[1], help="The address clients use. It moves between the two directors."),
    )
    vip_nmask = Setting(
        "Virtual IP Network Mask",
        Mask(),
        About(
            keyword="vip_nmask",
            piranha="255.255.255.0",
            suggestions=MASKS,
            help="The mask the address gets on the interface. Blank: chosen.",
        ),
    )
    device = Setting(
        "Device",
        Device(),
        About(
            keyword="address",
            read=_DEVICE[0],
            put=_DEVICE[1],
            help="An alias on the public interface, such as eth1:1. eth1 alone works here, but took the interface down in Piranha.",
        ),
    )
    port = Setting("Application port", Number(1, 65535, "port"), About(keyword="port", piranha="80", help="The port clients use."))
    protocol = Setting("Protocol", Choice(PROTOCOLS, Protocol), About(keyword="protocol", control="select", piranha="TCP"))
    fwmark = Setting(
        "Firewall Mark",
        Number(0, 2**32 - 1, "mark", required=False, blank=0),
        About(keyword="fwmark", piranha="blank", help="For services of several ports: packets that the firewall marks so. Blank: none."),
    )
    scheduler = Setting(
        "Scheduling",
        Choice(SCHEDULERS, Scheduler),
        About(
            keyword="scheduler", control="select", piranha="Weighted least-connections", help="Which real server a new connection goes to."
        ),
    )
    persistent = Setting(
        "Persistence",
        Number(0, 86400 * 30, "number of seconds", required=False, blank=0),
        About(keyword="persistent", unit="s", piranha="blank", help="How long a client stays with its real server. Blank: off."),
    )
    pmask = Setting(
        "Persistence Network Mask",
        Mask(),
        About(
            keyword="pmask", piranha="blank", suggestions=MASKS, help="Clients of one network stay together. Blank: each client for itself."
        ),
    )
    load_monitor = Setting(
        "Load monitoring tool",
        Choice(LOAD_MONITORS),
        About(
            keyword="load_monitor",
            control="select",
            piranha="none",
            help="Asks the real servers for their load and gives a busy one less than the others. uptime goes over ssh.",
        ),
    )
    timeout = Setting(
        "Service Timeout",
        Number(1, 86400, "number of seconds"),
        About(keyword="timeout", unit="s", piranha="6", help="Time between two checks, and the longest that one may take."),
    )
    reentry = Setting(
        "Re-entry Time",
        Number(0, 86400 * 7, "number of seconds"),
        About(keyword="reentry", unit="s", piranha="15", help="How long a failed server must answer before it gets traffic again."),
    )
    quiesce_server = Setting(
        "Quiesce server",
        _Quiesce(QUIESCE),
        About(
            keyword="quiesce_server",
            control="select",
            piranha="No",
            help="Yes: a failed server keeps its connections and gets no new ones (weight 0).",
        ),
    )
    sorry_server = Setting(
        "Sorry Server",
        Host(names=False, required=False),
        About(keyword="sorry_server", piranha="blank", help="Gets the traffic when too few real servers are left, and gives it back."),
    )

    quorum = Setting(
        "Quorum",
        Number(0, 1000, "number of servers", required=False, blank=0),
        About(
            keyword="quorum",
            unit="servers",
            help="So many real servers must be up. With fewer, the sorry server takes all new connections; without one, "
            "what is left goes on. Blank: one.",
        ),
    )
    hysteresis = Setting(
        "Quorum Hysteresis",
        Number(0, 1000, "number of servers", required=False, blank=0),
        About(
            keyword="hysteresis",
            unit="servers",
            help="The quorum is lost so many servers below it and reached again so many above, so that one server cannot make it flap.",
        ),
    )
    sorry_port = Setting(
        "Sorry Server's Port",
        Number(1, 65535, "port", required=False, blank=0),
        About(keyword="sorry_port", help="Blank: the virtual server's. Direct routing and tunneling cannot change the port."),
    )
    scheduler_flags = Setting(
        "Scheduler Flags",
        Line("list of flags", strip=True),
        About(
            keyword="scheduler_flags",
            suggestions=("sh-port", "sh-fallback", "sh-port,sh-fallback", "mh-port", "mh-fallback", "mh-port,mh-fallback"),
            help="For Source Hash and Maglev Hash: port counts the client's port too, fallback chooses another server for one that is out.",
        ),
    )
    one_packet = Setting(
        "One Packet",
        Flag(),
        About(
            keyword="one_packet",
            control="checkbox",
            help="UDP only: every packet goes to the next server, even of one client port. For DNS and the like.",
        ),
    )
    pe = Setting(
        "Persistence By",
        ChoiceOrNone(ENGINES, PersistenceEngine),
        About(keyword="pe", control="select", help="What Persistence keeps together. Calls need UDP, Persistence and One Packet."),
    )
    mark_ports = Setting(
        "Ports to Mark",
        _Ports("list of ports"),
        About(
            keyword="mark_ports",
            suggestions=("80,443/tcp", "20-21,1024-65535/tcp"),
            help="The director sets the Firewall Mark on packets to these ports of the virtual address by itself, such as 80,443/tcp or "
            "5060/udp 5060-5061/tcp. Blank: you have rules of your own for it.",
        ),
    )

    def check(self) -> None:
        self._check_marks()
        self.check_pair("vip", "device", "A virtual address needs", "eth1:1")
        self._check_name()
        self._check_reentry()
        gone = self.setting("vip")
        if (
            (gone.changed or self.adding)
            and not gone.typed.strip()
            and not gone.errors
            and self.setting("fwmark").typed.strip() in ("", "0")
        ):
            self.reject("vip", "An address is needed here, unless a firewall mark stands for the service.")

    def _check_name(self) -> None:
        name = self.setting("name")
        if not name.errors and (name.changed or self.adding) and any(other.name == name.value for other in self.config.virtual):
            self.reject("name", f"There is already a virtual server called {name.typed.strip()}.")

    def _check_marks(self) -> None:
        ports = self.setting("mark_ports")
        if ports.changed and ports.typed.strip() and self.setting("fwmark").typed.strip() in ("", "0"):
            self.reject("mark_ports", "Which mark? Ports to mark need a Firewall Mark.")

    def _check_reentry(self) -> None:
        timeout, reentry = self.setting("timeout"), self.setting("reentry")
        if timeout.errors or reentry.errors:
            return
        try:
            short = int(reentry.typed) < int(timeout.typed)
        except ValueError:
            return
        if short and (timeout.changed or reentry.changed):
            reentry.warnings.append("Shorter than the Service Timeout: one answered check brings the server back.")


class NewVirtualServerForm(VirtualServerForm):
    """Adds a ``virtual`` block at the end of the file."""

    adding = True
    new = NEW
