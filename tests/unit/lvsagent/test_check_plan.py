"""What lvs.cf's words make nanny do."""

from __future__ import annotations

from typing import Any

import pytest

from app.lvscf.model import CheckKind, DnsRecord, Protocol, VirtualServer
from lvsagent.core.check_plan import check_spec, unchecked
from lvsagent.core.check_spec import CheckSpec, Method, describe


def spec(port: int = 80, **fields: Any) -> CheckSpec:
    return check_spec(VirtualServer(name="http", **fields), key="http/one", address="10.11.12.21", port=port)


def test_nothing_set_on_port_80_asks_for_a_page() -> None:
    assert describe(spec()) == "sends GET / HTTP/1.0\\r\\n\\r\\n, expects HTTP" or describe(spec()) == "sends GET / HTTP/1.0, expects HTTP"
    assert (spec().method, spec().send, spec().expect) == (Method.SEND_EXPECT, b"GET / HTTP/1.0\r\n\r\n", b"HTTP")


def test_nothing_set_on_another_port_only_connects() -> None:
    assert spec(port=8080).method is Method.CONNECT


def test_escapes_are_decoded_before_they_are_sent() -> None:
    made = spec(send=r"QUIT\r\n", expect=r"221\t")
    assert (made.send, made.expect) == (b"QUIT\r\n", b"221\t")


def test_send_alone_and_expect_alone_are_both_a_conversation() -> None:
    assert (spec(send="x").method, spec(send="x").expect) == (Method.SEND_EXPECT, None)
    assert (spec(expect="220").method, spec(expect="220").send) == (Method.SEND_EXPECT, b"")


def test_a_program_overrides_send_and_gets_address_and_port_as_words() -> None:
    made = spec(port=8080, send="x", send_program="/usr/libexec/check %h --port=%p; rm -rf /", expect="OK")
    assert made.method is Method.PROGRAM
    assert made.program == ("/usr/libexec/check", "10.11.12.21", "--port=8080;", "rm", "-rf", "/")
    assert made.expect == b"OK"


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"protocol": Protocol.UDP}, Method.NONE),
        ({"protocol": Protocol.UDP, "send": "ping"}, Method.NONE),
        ({"protocol": Protocol.UDP, "expect": "pong"}, Method.SEND_EXPECT),
        ({"protocol": Protocol.UDP, "send_program": "/bin/check"}, Method.PROGRAM),
        ({"protocol": Protocol.SCTP, "expect": "x"}, Method.NONE),
        ({"protocol": Protocol.SCTP, "send_program": "/bin/check"}, Method.PROGRAM),
        ({"check": CheckKind.CONNECT, "expect": "x"}, Method.CONNECT),
        ({"check": CheckKind.DNS}, Method.NONE),
        ({"check": CheckKind.UDP, "send": "ping"}, Method.NONE),
        ({"check": CheckKind.PROGRAM, "expect": "x"}, Method.NONE),
    ],
)
def test_what_cannot_be_checked_is_not(fields: dict[str, Any], method: Method) -> None:
    assert spec(**fields).method is method


def test_what_is_not_checked_as_asked_is_said() -> None:
    assert unchecked(VirtualServer(name="dns", protocol=Protocol.UDP)) == (
        "nothing can be checked with protocol udp and no expect or send_program: its real servers count as up"
    )
    assert unchecked(VirtualServer(name="web", check=CheckKind.DNS)) == "check = dns needs check_host: its real servers count as up"
    assert unchecked(VirtualServer(name="web", check=CheckKind.HTTPS)) == ""
    assert unchecked(VirtualServer(name="http")) == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (10, 10, 18, 1)),
        ({"timeout": 6, "reentry": 15}, (6, 6, 3, 1)),
        ({"timeout": 10, "reentry": 3}, (10, 10, 1, 1)),
        ({"timeout": 10, "reentry": 0}, (10, 10, 1, 1)),
        ({"timeout": 0}, (10, 10, 18, 1)),
        ({"timeout": 6, "check_interval": 0.5, "check_timeout": 0.2, "reentry": 2}, (0.5, 0.2, 4, 1)),
        ({"rise": 2, "fall": 3}, (10, 10, 2, 3)),
    ],
)
def test_interval_limit_rise_and_fall_follow_piranhas_rule_unless_given(fields: dict[str, Any], expected: tuple[float, ...]) -> None:
    made = spec(**fields)
    assert (made.interval_s, made.timeout_s, made.rise, made.fall) == expected


def test_check_port_is_asked_instead_of_the_servers_own() -> None:
    assert spec(port=8080, check_port=8081).port == 8081


@pytest.mark.parametrize(
    ("fields", "method", "protocol", "words"),
    [
        (
            {"check": CheckKind.HTTP, "check_path": "/health", "send": "ignored", "expect": "OK"},
            Method.HTTP,
            "tcp",
            "asks for http://10.11.12.21:80/health, expects status 200-399, expects OK in the body",
        ),
        (
            {"check": CheckKind.HTTPS, "check_host": "www.example.com", "check_status": "200-299,301", "check_verify": True},
            Method.HTTP,
            "tcp",
            "asks for https://www.example.com/, expects status 200-299,301 and a valid certificate",
        ),
        (
            {"check": CheckKind.TLS, "send": "QUIT", "expect": "2*1", "use_regex": True},
            Method.TLS,
            "tcp",
            "makes a TLS connection, sends QUIT, expects a match of 2*1",
        ),
        ({"check": CheckKind.SMTP, "expect": "ignored"}, Method.SMTP, "tcp", "expects 220, sends EHLO, expects 250"),
        (
            {"check": CheckKind.DNS, "check_host": "www.example.com", "expect": "192.0.2.1"},
            Method.DNS,
            "tcp",
            "asks for www.example.com A over tcp, expects 192.0.2.1 among the answers",
        ),
        (
            {"check": CheckKind.DNS, "check_host": "example.com", "check_record": DnsRecord.MX, "protocol": Protocol.UDP},
            Method.DNS,
            "udp",
            "asks for example.com MX over udp",
        ),
        ({"check": CheckKind.PING, "send": "ignored"}, Method.PING, "icmp", "sends an ICMP echo request"),
        ({"check": CheckKind.UDP, "send": "ping", "expect": "pong"}, Method.SEND_EXPECT, "udp", "sends ping, expects pong"),
        ({"check": CheckKind.PROGRAM, "send_program": "/bin/x %h"}, Method.PROGRAM, "tcp", "runs /bin/x 10.11.12.21"),
        ({"check": CheckKind.AGENT, "check_port": 9707}, Method.AGENT, "tcp", "asks the server's agent for its state and weight"),
    ],
)
def test_each_kind_asks_what_it_is_for(fields: dict[str, Any], method: Method, protocol: str, words: str) -> None:
    made = spec(**fields)
    assert (made.method, made.protocol, describe(made)) == (method, protocol, words)


def test_without_check_nothing_of_the_new_kinds_is_asked() -> None:
    made = spec(check_path="/health", check_host="www.example.com", check_verify=True, expect="HTTP")
    assert (made.method, made.details) == (Method.SEND_EXPECT, None)
