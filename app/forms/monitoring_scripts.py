"""MONITORING SCRIPTS: what the health check of a virtual server sends, and what it expects back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from werkzeug.datastructures import MultiDict

from app.forms.base import About, Group, ScreenForm, Setting
from app.forms.values import Flag, Line
from app.lvscf.model import Config
from app.refs import Ref, index_of, replaced

BLANKING = {"NO SEND PROGRAM": "send_program", "BLANK SEND": "send", "BLANK EXPECT": "expect"}
"""Piranha's three buttons: which field each of them empties."""


class MonitoringScriptsForm(ScreenForm):
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

    ref: Ref

    @classmethod
    def from_config(cls, config: Config, ref: Ref, etag: str = "") -> MonitoringScriptsForm:
        form = cls()
        form.ref = ref
        form.start(config, etag)
        return form

    @classmethod
    def from_post(cls, config: Config, ref: Ref, formdata: MultiDict[str, str]) -> MonitoringScriptsForm:
        form = cls()
        form.ref = ref
        form.take(config, formdata)
        return form

    def target(self, config: Config) -> Any:
        return config.virtual[index_of(config.virtual, self.ref)]

    def with_target(self, config: Config, target: Any) -> Config:
        return replace(config, virtual=replaced(config.virtual, index_of(config.virtual, self.ref), target))

    def check(self) -> None:
        expect, program = self.setting("expect"), self.setting("send_program")
        if self.setting("use_regex").typed and not expect.typed and self.changed:
            self.reject("expect", "A regular expression is wanted, but there is none.")
        if program.typed and self.setting("send").typed and self.changed:
            self.setting("send").warnings.append("Not sent while there is a Sending Program.")

    def blank(self, button: str) -> None:
        """One of Piranha's three buttons: empty that field.  Raises KeyError."""
        self.setting(BLANKING[button]).data = ""
