"""Every type of value: what is legal, what it means, what is refused."""

from __future__ import annotations

import pytest

from app.lvscf import BY_LEVEL, HostDevice, Level
from app.lvscf.literals import host_of, ipv4_of, is_host_name, service_port
from app.lvscf.values import interpret

G, B, S = Level.GLOBAL, Level.BLOCK, Level.SERVER


def codes(level: Level, name: str, *args: str) -> list[str]:
    return [problem.code for problem in interpret(BY_LEVEL[level][name], args).problems]


@pytest.mark.parametrize(
    ("level", "name", "raw", "value"),
    [
        (G, "serial_no", "5", 5),
        (G, "serial_no", '"5"', 5),
        (G, "serial_no", "'5'", 5),
        (G, "tcp_timeout", "0x10", 16),
        (G, "tcp_timeout", "010", 8),
        (G, "serial_no", "-3", -3),
        (G, "serial_no", "+3", 3),
        (G, "serial_no", '" 7"', 7),
        (G, "serial_no", '""', 0),
        (G, "backup_active", "1", True),
        (G, "backup_active", "0", False),
        (G, "backup_active", "0x1", True),
        (G, "keepalive", "6", 6),
        (G, "keepalive", "0.1", 0.1),
        (G, "keepalive", ".5", 0.5),
        (G, "keepalive", "010", 8),
        (G, "deadtime", "2.0", 2),
        (G, "primary", "10.1", "10.0.0.1"),
        (G, "primary", "0x0a.010.1", "10.8.0.1"),
        (G, "primary", "3232235777", "192.168.1.1"),
        (G, "primary", "2001:DB8::0:1", "2001:db8::1"),
        (G, "primary", "lefty.example.com", "lefty.example.com"),
        (G, "backup", "0.0.0.0", "0.0.0.0"),
        (G, "heartbeat_port", "http", 80),
        (B, "port", "https", 443),
        (B, "port", "0x50", 80),
        (S, "port", "8080", 8080),
        (B, "vip_nmask", "24", "0.0.0.24"),
        (B, "vip_nmask", "255.255.255.0", "255.255.255.0"),
        (B, "pmask", "rubbish", "0.0.0.0"),
        (B, "sorry_server", "0.0.0.0", None),
        (B, "sorry_server", "127.1", "127.0.0.1"),
        (B, "fwmark", "4294967295", 4294967295),
        (B, "protocol", "sctp", "sctp"),
        (B, "scheduler", '"mh"', "mh"),
        (B, "load_monitor", "uptime", "uptime"),
        (B, "send", '"GET / HTTP/1.0\\r\\n"', "GET / HTTP/1.0\\r\\n"),
        (B, "send", "'single'", "'single'"),
        (B, "expect", '""', ""),
        (B, "send_program", "'/bin/x %h'", "'/bin/x %h'"),
        (B, "start_cmd", '"/bin/x a"', "/bin/x a"),
        (G, "active_cmd", "'/bin/x a'", "/bin/x a"),
        (G, "syncd_id", "511", 255),
        (G, "syncd_id", "-1", 255),
        (B, "check_status", "200-299,304", "200-299,304"),
        (B, "scheduler_flags", "sh-port,sh-fallback", "sh-port,sh-fallback"),
    ],
)
def test_a_legal_value_means(level: Level, name: str, raw: str, value: object) -> None:
    read = interpret(BY_LEVEL[level][name], [raw])
    assert read.used
    assert read.value == value
    assert type(read.value) is type(value) or isinstance(read.value, str)


@pytest.mark.parametrize(
    ("level", "name", "raw", "code"),
    [
        (G, "serial_no", "5x", "bad-integer"),
        (G, "serial_no", "1.5", "bad-integer"),
        (G, "serial_no", "0x", "bad-integer"),
        (G, "serial_no", "08", "bad-integer"),
        (G, "serial_no", "٣", "bad-integer"),
        (G, "serial_no", "9" * 5000, "bad-integer"),
        (G, "serial_no", '"5 "', "bad-integer"),
        (G, "keepalive", "1e3", "bad-number"),
        (G, "keepalive", "nan", "bad-number"),
        (G, "backup_active", "yes", "bad-boolean"),
        (G, "backup_active", "2", "bad-boolean"),
        (G, "service", "LVS", "bad-word"),
        (B, "scheduler", "twos", "bad-word"),
        (B, "scheduler_flags", "sh-port,", "bad-word"),
        (B, "check_status", "2xx", "bad-word"),
        (G, "primary", "10.0.0.1/24", "bad-host"),
        (G, "primary", "10.0.0.256", "bad-host"),
        (G, "primary", "1.2.3.4.5", "bad-host"),
        (G, "primary", "-x.example", "bad-host"),
        (G, "primary", "fe80::1%eth0", "bad-host"),
        (G, "primary", '""', "bad-host"),
        (G, "primary", "0.0.0.0", "no-address"),
        (G, "backup_private", "0.0.0.0", "no-address"),
        (B, "sorry_server", "sorry.example.com", "bad-host"),
        (B, "vip_nmask", "/24", "bad-mask"),
        (B, "port", "80,443", "bad-port"),
        (B, "port", "no-such-service", "bad-port"),
        (S, "port", "http", "bad-port"),
        (G, "syncd_iface", "eth/0", "bad-device"),
    ],
)
def test_an_illegal_value_is_not_used(level: Level, name: str, raw: str, code: str) -> None:
    read = interpret(BY_LEVEL[level][name], [raw])
    assert not read.used
    assert [problem.code for problem in read.problems] == [code]


@pytest.mark.parametrize(
    ("level", "name", "raw", "code"),
    [
        (B, "port", "70000", "out-of-range"),
        (B, "port", "-1", "out-of-range"),
        (G, "heartbeat_port", "0", "out-of-range"),
        (S, "weight", "-1", "out-of-range"),
        (S, "weight", "65536", "doubtful-value"),
        (B, "timeout", "0", "doubtful-value"),
        (B, "fwmark", "4294967296", "out-of-range"),
        (G, "tcp_timeout", "-1", "out-of-range"),
        (G, "keepalive", "0", "doubtful-value"),
        (B, "vip_nmask", "24", "doubtful-mask"),
        (G, "primary", "lefty", "host-name"),
    ],
)
def test_a_doubtful_value_is_used_and_said(level: Level, name: str, raw: str, code: str) -> None:
    read = interpret(BY_LEVEL[level][name], [raw])
    assert read.used
    assert [problem.code for problem in read.problems] == [code]


def test_a_virtual_address_has_a_host_and_a_device() -> None:
    assert interpret(BY_LEVEL[B]["address"], ["10.1", '"eth1:1"']).value == HostDevice("10.0.0.1", "eth1:1")
    assert codes(B, "address", "10.0.0.1") == ["missing-value"]
    assert codes(B, "address", "10.0.0.1", "eth0", "x") == ["surplus-text"]
    assert codes(S, "address", "10.0.0.1", "eth0") == ["surplus-text"]
    assert codes(B, "address", "10.0.0.1", "eth/0") == ["bad-device"]
    too_long = interpret(BY_LEVEL[B]["address"], ["10.0.0.1", "abcdefghijklmn:1"])
    assert (too_long.used, [problem.code for problem in too_long.problems]) == (True, ["bad-device"])


def test_255_bytes_are_the_most_for_send_and_expect() -> None:
    assert codes(B, "send", "ü" * 127) == []
    assert codes(B, "send", "ü" * 128) == ["text-too-long"]


@pytest.mark.parametrize("text", ["", ".", "1.", "1..2", "1.2.3.4 ", "0x1.2.3.4.5", "a", "1.256.3.4", "1.2.65536", "4294967296", "+1"])
def test_no_ipv4_address(text: str) -> None:
    assert ipv4_of(text) is None


def test_a_host_is_an_address_or_a_name() -> None:
    assert host_of("10.0.0.300") is None
    assert host_of("a" * 64) is None
    assert host_of("a.b-c.d") == "a.b-c.d"
    assert is_host_name("lefty")
    assert not is_host_name("10.0.0.1")
    assert not is_host_name("2001:db8::1")


def test_common_services_are_known_without_the_hosts_own_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_name: str, _protocol: str) -> int:
        raise OSError("no list of services")

    monkeypatch.setattr("socket.getservbyname", unknown)
    service_port.cache_clear()
    try:
        assert service_port("https") == 443
        assert service_port("no-such-service") is None
        assert service_port("bad\udcff") is None
    finally:
        service_port.cache_clear()
