"""FAILOVER: one service of a ``service = fos`` pair, started on the active director.  Also activating, deleting and adding one."""

from __future__ import annotations

from app.forms.base import About, Group, Setting, device_of, host_of
from app.forms.targets import BlockForm
from app.forms.values import MASKS, Device, Flag, Host, Line, Mask, Number
from app.lvscf.model import FailoverService

NEW = FailoverService(name="", vip_nmask="255.255.255.0", timeout=6, send="GET / HTTP/1.0\\r\\n\\r\\n", expect="HTTP")
"""What a new failover service starts as: inactive, with Piranha's screen defaults."""

_VIP = host_of("address")
_DEVICE = device_of("address")
_ROOT = "Runs as root, and only when agent.toml lists exactly this line in root_commands."


class FailoverForm(BlockForm):
    """Edits one ``failover`` block, found by its name."""

    blocks = "failover"

    groups = (
        Group("Where clients arrive", ("name", "vip", "vip_nmask", "device", "port")),
        Group("Starting and stopping", ("start_cmd", "stop_cmd")),
        Group("How it is watched", ("timeout", "send_program", "send", "expect", "use_regex")),
    )

    name = Setting("Name", Line("name", required=True, strip=True), About(keyword="failover", help="For people; not a host name."))
    vip = Setting(
        "IP Address",
        Host(),
        About(keyword="address", read=_VIP[0], put=_VIP[1], help="The address clients use. It moves between the two directors."),
    )
    vip_nmask = Setting(
        "Network Mask",
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
        Device(required=True),
        About(keyword="address", read=_DEVICE[0], put=_DEVICE[1], help="An alias on the public interface, such as eth1:1."),
    )
    port = Setting("Application port", Number(1, 65535, "port"), About(keyword="port", piranha="80", help="The port that is watched."))
    start_cmd = Setting(
        "Start command",
        Line("command", quotes='"'),
        About(keyword="start_cmd", piranha="blank", help=f"Starts the service on the active director. {_ROOT}"),
    )
    stop_cmd = Setting("Stop command", Line("command", quotes='"'), About(keyword="stop_cmd", piranha="blank", help=f"Stops it. {_ROOT}"))
    timeout = Setting(
        "Service Timeout",
        Number(1, 86400, "number of seconds"),
        About(keyword="timeout", unit="s", piranha="6", help="Time between two checks, and the longest that one may take."),
    )
    send_program = Setting(
        "Sending Program",
        Line("program", quotes='"'),
        About(
            keyword="send_program",
            piranha="blank",
            help="A command line that does the check; %h is the address, %p the port. It replaces Send.",
        ),
    )
    send = Setting(
        "Send",
        Line("text", quotes='"'),
        About(keyword="send", piranha="GET / HTTP/1.0\\r\\n\\r\\n", help="Sent once connected. \\r \\n \\t \\\\ \\' are understood."),
    )
    expect = Setting(
        "Expect",
        Line("text", quotes='"'),
        About(keyword="expect", piranha="HTTP", help="How the answer must begin. Blank: connecting is enough."),
    )
    use_regex = Setting(
        "Treat expect string as a regular expression",
        Flag(),
        About(
            keyword="use_regex", control="checkbox", piranha="off", help="POSIX extended, found anywhere in the first 4 KiB of the answer."
        ),
    )

    def check(self) -> None:
        self.check_pair("vip", "device", "A failover service needs", "eth1:1")
        name = self.setting("name")
        if not name.errors and (name.changed or self.adding) and any(other.name == name.value for other in self.config.failover):
            self.reject("name", f"There is already a failover service called {name.typed.strip()}.")


class NewFailoverForm(FailoverForm):
    """Adds a ``failover`` block at the end of the file."""

    adding = True
    new = NEW
