"""MONITORING SCRIPTS: what the health check of a virtual server sends, and what it expects back."""

from __future__ import annotations

from app.forms.base import About, Group, Setting
from app.forms.targets import BlockForm
from app.forms.values import Flag, Line

BLANKING = {"NO SEND PROGRAM": "send_program", "BLANK SEND": "send", "BLANK EXPECT": "expect"}
"""Piranha's three buttons: which field each of them empties."""


class MonitoringScriptsForm(BlockForm):
    """Edits the check of one ``virtual`` block; the text is what stands between the quotes in lvs.cf."""

    groups = (Group("", ("send_program", "send", "expect", "use_regex")),)

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

    def check(self) -> None:
        expect, program = self.setting("expect"), self.setting("send_program")
        if self.setting("use_regex").typed and not expect.typed and self.changed:
            self.reject("expect", "A regular expression is wanted, but there is none.")
        if program.typed and self.setting("send").typed and self.changed:
            self.setting("send").warnings.append("Not sent while there is a Sending Program.")

    def blank(self, button: str) -> None:
        """One of Piranha's three buttons: empty that field.  Raises KeyError."""
        self.setting(BLANKING[button]).data = ""
