"""MONITORING SCRIPTS: what the health check of a virtual server sends, and what it expects back."""

from __future__ import annotations

from app.forms import check_kinds
from app.forms.base import About, Group, Setting
from app.forms.targets import BlockForm
from app.forms.values import Flag, Line
from app.lvscf.check_rules import NEEDS
from app.lvscf.model import CheckKind

BLANKING = {"NO SEND PROGRAM": "send_program", "BLANK SEND": "send", "BLANK EXPECT": "expect"}
"""Piranha's three buttons: which field each of them empties."""


class MonitoringScriptsForm(BlockForm):
    """Edits the check of one ``virtual`` block; the text is what stands between the quotes in lvs.cf."""

    groups = (
        Group("", ("send_program", "send", "expect", "use_regex")),
        Group("What is asked", check_kinds.FIELDS, "Not in Piranha."),
        Group(
            "When a server is out, and when it is back",
            ("check_interval", "check_timeout", "rise", "fall", "hold_down", "slow_start"),
            "Not in Piranha.",
        ),
    )

    send_program = Setting(
        "Sending Program",
        Line("program", quotes='"'),
        About(
            keyword="send_program",
            control="script",
            piranha="blank",
            help="A command line that does the check; %h is the real server's address, %p its port. It replaces Send.",
        ),
    )
    send = Setting(
        "Send",
        Line("text", quotes='"'),
        About(
            keyword="send",
            control="script",
            piranha="GET / HTTP/1.0\\r\\n\\r\\n",
            help="Sent once connected. \\r \\n \\t \\\\ \\' are understood.",
        ),
    )
    expect = Setting(
        "Expect",
        Line("text", quotes='"'),
        About(
            keyword="expect",
            control="script",
            piranha="HTTP",
            help="How the answer must begin; * stands for any one byte. Blank: connecting is enough.",
        ),
    )
    use_regex = Setting(
        "Treat expect string as a regular expression",
        Flag(),
        About(
            keyword="use_regex", control="checkbox", piranha="off", help="POSIX extended, found anywhere in the first 4 KiB of the answer."
        ),
    )

    kind = check_kinds.kind_of_check()
    check_port = check_kinds.check_port()
    check_path = check_kinds.check_path()
    check_host = check_kinds.check_host()
    check_status = check_kinds.check_status()
    check_record = check_kinds.check_record()
    check_verify = check_kinds.check_verify()
    check_cert_days = check_kinds.check_cert_days()
    check_interval = check_kinds.check_interval()
    check_timeout = check_kinds.check_timeout()
    rise = check_kinds.rise()
    fall = check_kinds.fall()
    hold_down = check_kinds.hold_down()
    slow_start = check_kinds.slow_start()

    def check(self) -> None:
        expect, program = self.setting("expect"), self.setting("send_program")
        if self.setting("use_regex").typed and not expect.typed and self.changed:
            self.reject("expect", "A regular expression is wanted, but there is none.")
        if program.typed and self.setting("send").typed and self.changed:
            self.setting("send").warnings.append("Not sent while there is a Sending Program.")
        kind = self.setting("kind")
        needed = NEEDS.get(CheckKind(kind.typed)) if kind.typed in set(CheckKind) else None
        if needed and not self.setting(needed).typed and self.changed:
            self.reject(needed, f"{dict(check_kinds.KINDS)[kind.typed]} cannot be checked without this.")

    def blank(self, button: str) -> None:
        """One of Piranha's three buttons: empty that field.  Raises KeyError."""
        self.setting(BLANKING[button]).data = ""
