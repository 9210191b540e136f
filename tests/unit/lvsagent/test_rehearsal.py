"""Which virtual servers a director can measure itself, and how it asks them."""

from __future__ import annotations

import pytest

from app.lvscf import load
from lvsagent.core.rehearsal import Plane, target_of

TEXT = """\
network = {network}
virtual http {{
     active = {active}
     {address}
     port = 80
     protocol = {protocol}
     {more}
     server number1 {{
         address = 10.11.12.21
         active = {server}
     }}
}}
"""
USUAL = {"network": "nat", "active": "1", "address": "address = 192.0.2.100 eth1:1", "protocol": "tcp", "more": "", "server": "1"}


KERNEL = Plane()


def asked(changes: dict[str, str], plane: Plane = KERNEL) -> tuple[str, str]:
    return target_of(load(TEXT.format(**(USUAL | changes))).config, changes.get("name", "http"), plane)


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({}, "192.0.2.100:80"),
        ({"more": 'send = "GET /health HTTP/1.0\\r\\n\\r\\n"'}, "http://192.0.2.100:80/health"),
        ({"more": 'send = "HELO\\r\\n"'}, "192.0.2.100:80"),
        ({"more": 'send = "GET"'}, "192.0.2.100:80"),
        ({"address": "address = 2001:db8::100 eth1"}, "[2001:db8::100]:80"),
    ],
)
def test_what_is_asked(changes: dict[str, str], target: str) -> None:
    assert asked(changes) == (target, "")


def test_a_proxy_is_asked_where_it_listens_however_its_servers_would_answer() -> None:
    assert asked({"network": "direct"}, Plane(proxy=True, port_offset=8000)) == ("192.0.2.100:8080", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"active": "0"}, "it is not active"),
        ({"protocol": "udp"}, "only TCP is measured"),
        ({"address": "fwmark = 5"}, "no address of its own"),
        ({"server": "0"}, "no active real server"),
        ({"network": "direct"}, "number1 answers clients directly"),
        ({"network": "tunnel"}, "lvsctl rehearse"),
        ({"name": "smtp"}, "lvs.cf has no virtual server smtp"),
    ],
)
def test_what_cannot_be_measured_and_why(changes: dict[str, str], words: str) -> None:
    target, reason = asked(changes)
    assert target == ""
    assert words in reason
