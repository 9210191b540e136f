"""REAL SERVER: one server behind a virtual server.  Also activating, deleting and adding one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from werkzeug.datastructures import MultiDict

from app.forms.base import About, Group, ScreenForm, Setting
from app.forms.values import ChoiceOrNone, Host, Line, Number
from app.lvscf.model import Config, Forwarding, RealServer
from app.refs import Ref, index_of, replaced

NEW = RealServer(name="")
"""What a new real server starts as: inactive, weight 1, the virtual server's port."""


FORWARDINGS = (
    ("", "As all (GLOBAL SETTINGS)"),
    (Forwarding.NAT.value, "NAT"),
    (Forwarding.DIRECT.value, "Direct Routing"),
    (Forwarding.TUNNEL.value, "Tunneling"),
)


class RealServerForm(ScreenForm):
    """Edits one ``server`` block of a ``virtual`` block, both found by name."""

    groups = (
        Group("", ("name", "address", "port", "weight")),
        Group("Not in Piranha", ("forward", "upper_threshold", "lower_threshold"), "Left blank, everything is as in Piranha."),
    )

    name = Setting("Name", Line("name", required=True, strip=True), About(keyword="server", help="For people; not a host name."))
    address = Setting("Address", Host(), About(keyword="server.address", help="Where this director reaches the server."))
    port = Setting(
        "Port",
        Number(1, 65535, "port", required=False),
        About(
            keyword="server.port", piranha="blank", help="Blank: the virtual server's. Direct routing and tunneling cannot change the port."
        ),
    )
    weight = Setting(
        "Weight",
        Number(0, 65535, "weight"),
        About(
            keyword="weight", piranha="1", help="Its share among the others, where the scheduling looks at weights. 0: no new connections."
        ),
    )

    forward = Setting(
        "Forwarding",
        ChoiceOrNone(FORWARDINGS, Forwarding),
        About(keyword="server.forward", control="select", help="How packets reach this one server, where it differs from the others."),
    )
    upper_threshold = Setting(
        "Most Connections",
        Number(0, 2**31 - 1, "number of connections", required=False, blank=0),
        About(
            keyword="server.upper_threshold",
            unit="connections",
            help="With so many it counts as overloaded and gets no new ones. Blank: no limit.",
        ),
    )
    lower_threshold = Setting(
        "Again Below",
        Number(0, 2**31 - 1, "number of connections", required=False, blank=0),
        About(
            keyword="server.lower_threshold",
            unit="connections",
            help="With fewer than so many an overloaded server gets new ones again. Blank: three quarters of Most Connections.",
        ),
    )

    virtual: Ref
    ref: Ref

    @classmethod
    def from_config(cls, config: Config, virtual: Ref, ref: Ref, etag: str = "") -> RealServerForm:
        form = cls()
        form.virtual, form.ref = virtual, ref
        form.start(config, etag)
        return form

    @classmethod
    def from_post(cls, config: Config, virtual: Ref, ref: Ref, formdata: MultiDict[str, str]) -> RealServerForm:
        form = cls()
        form.virtual, form.ref = virtual, ref
        form.take(config, formdata)
        return form

    def target(self, config: Config) -> Any:
        servers = config.virtual[index_of(config.virtual, self.virtual)].servers
        return servers[index_of(servers, self.ref)]

    def with_target(self, config: Config, target: Any) -> Config:
        return with_servers(config, self.virtual, lambda servers: replaced(servers, index_of(servers, self.ref), target))

    def check(self) -> None:
        self._check_name()
        upper, lower = self.setting("upper_threshold"), self.setting("lower_threshold")
        if (upper.changed or lower.changed) and lower.typed.strip() and not upper.errors and not lower.errors:
            if not upper.typed.strip():
                self.reject("lower_threshold", "Again Below needs Most Connections.")
            elif int(lower.typed) > int(upper.typed):
                self.reject("lower_threshold", f"{lower.typed.strip()} is more than Most Connections: it must be less.")

    def _check_name(self) -> None:
        name = self.setting("name")
        if name.errors or not (name.changed or self.adding):
            return
        try:
            servers = self.config.virtual[index_of(self.config.virtual, self.virtual)].servers
        except LookupError:
            return
        if any(other.name == name.value for other in servers):
            self.reject("name", f"There is already a real server called {name.typed.strip()} here.")


class NewRealServerForm(RealServerForm):
    """Adds a ``server`` block to a ``virtual`` block."""

    adding = True

    def target(self, config: Config) -> Any:
        index_of(config.virtual, self.virtual)
        return NEW

    def with_target(self, config: Config, target: Any) -> Config:
        return with_servers(config, self.virtual, lambda servers: (*servers, target))


def with_servers(config: Config, virtual: Ref, change: Callable[[tuple[RealServer, ...]], tuple[RealServer, ...]]) -> Config:
    """``config`` with the real servers of one virtual server changed.  Raises LookupError."""
    place = index_of(config.virtual, virtual)
    block = config.virtual[place]
    return replace(config, virtual=replaced(config.virtual, place, replace(block, servers=change(block.servers))))


def activated(config: Config, virtual: Ref, ref: Ref, on: bool) -> Config:
    """The real server switched on or off.  Raises LookupError."""

    def switch(servers: tuple[RealServer, ...]) -> tuple[RealServer, ...]:
        place = index_of(servers, ref)
        return replaced(servers, place, replace(servers[place], active=on))

    return with_servers(config, virtual, switch)


def deleted(config: Config, virtual: Ref, ref: Ref) -> Config:
    """``config`` without the real server.  Raises LookupError."""
    return with_servers(config, virtual, lambda servers: replaced(servers, index_of(servers, ref), None))
