"""Forms as pure functions: whatever lvs.cf says, a form filled from it and accepted unchanged changes nothing; typed changes merge."""

from __future__ import annotations

import html
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from app.editing import Basis, draft
from app.forms.base import ScreenForm
from app.forms.failover import FailoverForm
from app.forms.global_settings import GlobalSettingsForm
from app.forms.monitoring_scripts import MonitoringScriptsForm
from app.forms.real_server import RealServerForm
from app.forms.redundancy import RedundancyForm
from app.forms.virtual_server import VirtualServerForm
from app.lvscf import load
from app.lvscf.model import (
    Config,
    FailoverService,
    Forwarding,
    GlobalSettings,
    HostDevice,
    Protocol,
    RealServer,
    Scheduler,
    ServiceKind,
    VirtualServer,
)
from app.refs import refs
from lvsagent.client import ConfigText

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n\0") | st.sampled_from("\udcff\r\t\"'<>&%"), max_size=12)
NUMBER = st.integers(-5, 2**33)
SECONDS = st.floats(-1, 1e6, allow_nan=False) | st.integers(-1, 100)
ADDRESS = st.none() | st.builds(HostDevice, host=TEXT, device=TEXT)

GLOBALS = st.builds(
    GlobalSettings,
    serial_no=NUMBER,
    primary=TEXT,
    primary_private=st.none() | TEXT,
    backup=TEXT,
    backup_private=st.none() | TEXT,
    service=st.sampled_from(ServiceKind),
    rsh_command=TEXT,
    heartbeat_port=NUMBER,
    keepalive=SECONDS,
    deadtime=SECONDS,
    network=st.sampled_from(Forwarding),
    nat_router=ADDRESS,
    nat_nmask=TEXT,
    monitor_links=NUMBER,
    syncdaemon=st.booleans(),
    syncd_iface=TEXT,
    syncd_id=NUMBER,
    tcp_timeout=NUMBER,
    udp_timeout=NUMBER,
)
REAL = st.builds(RealServer, name=TEXT, address=TEXT, port=st.none() | NUMBER, weight=NUMBER, active=st.booleans())
BLOCK = {
    "name": TEXT,
    "address": ADDRESS,
    "vip_nmask": TEXT,
    "sorry_server": st.none() | TEXT,
    "fwmark": NUMBER,
    "protocol": st.sampled_from(Protocol),
    "port": NUMBER,
    "scheduler": st.sampled_from(Scheduler),
    "persistent": NUMBER,
    "pmask": TEXT,
    "load_monitor": TEXT,
    "send": st.none() | TEXT,
    "expect": st.none() | TEXT,
    "use_regex": st.booleans(),
    "send_program": st.none() | TEXT,
    "timeout": NUMBER,
    "reentry": NUMBER,
    "quiesce_server": st.booleans(),
}
VIRTUAL = st.builds(VirtualServer, servers=st.lists(REAL, min_size=1, max_size=2).map(tuple), **BLOCK)
FAILOVER = st.builds(FailoverService, start_cmd=st.none() | TEXT, stop_cmd=st.none() | TEXT, **BLOCK)
CONFIGS = st.builds(
    Config,
    globals=GLOBALS,
    virtual=st.lists(VIRTUAL, min_size=1, max_size=2).map(tuple),
    failover=st.lists(FAILOVER, min_size=1, max_size=2).map(tuple),
)


def forms(config: Config) -> list[ScreenForm]:
    """Every form that can be opened on it."""
    opened: list[ScreenForm] = [GlobalSettingsForm.from_config(config, "e"), RedundancyForm.from_config(config, "e")]
    for virtual, block in zip(refs(config.virtual), config.virtual, strict=True):
        opened += [VirtualServerForm.from_config(config, virtual, "e"), MonitoringScriptsForm.from_config(config, virtual, "e")]
        opened += [RealServerForm.from_config(config, virtual, real, "e") for real in refs(block.servers)]
    return opened + [FailoverForm.from_config(config, ref, "e") for ref in refs(config.failover)]


def through_a_browser(form: ScreenForm) -> MultiDict[str, str]:
    """What a browser posts for a page that nobody touched: attributes are escaped and read back, line ends leave one-line fields."""
    pairs = [(name, html.unescape(html.escape(value))) for name, value in form.fields_to_carry()]
    return MultiDict([(name, value if name == "was" else value.replace("\r", "").replace("\n", "")) for name, value in pairs])


def posted(form: ScreenForm, config: Config, data: MultiDict[str, str]) -> ScreenForm:
    again = type(form)()
    for name in ("ref", "virtual"):
        if hasattr(form, name):
            setattr(again, name, getattr(form, name))
    again.take(config, data)
    return again


@settings(max_examples=120, deadline=None)
@given(CONFIGS)
def test_a_form_accepted_unchanged_changes_nothing(config: Config) -> None:
    for form in forms(config):
        again = posted(form, config, through_a_browser(form))
        assert again.validate(), again.errors
        assert again.apply_to(config) == config


@settings(max_examples=25, deadline=None)
@given(CONFIGS)
def test_what_a_form_shows_can_stand_on_a_page(config: Config) -> None:
    for form in forms(config):
        for _name, value in form.fields_to_carry():
            value.encode("utf-8")


@settings(max_examples=25, deadline=None)
@given(CONFIGS, CONFIGS)
def test_an_untouched_form_takes_over_whatever_the_newer_file_says(old: Config, new: Config) -> None:
    new = replace(
        new,
        virtual=tuple(replace(one, name=str(n)) for n, one in enumerate(new.virtual)),
        failover=tuple(replace(one, name=str(n)) for n, one in enumerate(new.failover)),
    )
    for form in (GlobalSettingsForm.from_config(old, "e"), RedundancyForm.from_config(old, "e")):
        again = posted(form, new, through_a_browser(form))
        again.rebase(new, "f")
        assert again.validate()
        assert again.apply_to(new) == new


TUTORIAL = """\
# our cluster
serial_no = 7
primary = 192.0.2.1
network = nat
virtual http {
     active = 1
     address = 192.0.2.100 eth1:1   # odd
     port = 80
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     server number1 {
         address = 10.11.12.21
         active = 1
     }
}
"""


@settings(max_examples=25, deadline=None)
@given(timeout=st.integers(1, 999), scheduler=st.sampled_from(["rr", "wrr", "sh"]), port=st.integers(1, 65535))
def test_two_peoples_changes_to_different_fields_merge(timeout: int, scheduler: str, port: int) -> None:
    loaded = load(TUTORIAL)
    ref = refs(loaded.config.virtual)[0]
    mine = VirtualServerForm.from_config(loaded.config, ref, "e")
    data = through_a_browser(mine)
    data["timeout"], data["scheduler"] = str(timeout), scheduler
    theirs = replace(loaded.config, virtual=(replace(loaded.config.virtual[0], port=port),))
    form = posted(mine, theirs, data)
    form.rebase(theirs, "f")
    assert form.validate()
    made = form.apply_to(theirs).virtual[0]
    assert (made.timeout, made.scheduler, made.port) == (timeout, scheduler, port)


def test_nothing_changed_is_no_draft_and_a_change_is_one_serial_more() -> None:
    basis = Basis(ConfigText(TUTORIAL, "e"), load(TUTORIAL))
    assert draft(basis, basis.config) is None
    made = draft(basis, replace(basis.config, globals=replace(basis.config.globals, tcp_timeout=600)))
    assert made is not None
    assert made.config.globals.serial_no == 8
    assert "tcp_timeout = 600" in made.text
    assert "# our cluster" in made.text
