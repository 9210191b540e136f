"""Changes are said in words that an administrator would use."""

from __future__ import annotations

from dataclasses import replace

from app.lvscf import Config, Forwarding, HostDevice, RealServer, VirtualServer, diff, parse, read

TEXT = """\
serial_no = 1
virtual http {
  address = 192.0.2.100 eth1:1
  send = "GET /"
  server number1 {
    address = 10.11.12.21
  }
  server number2 {
    address = 10.11.12.22
  }
}
virtual mail {
}
failover ftp {
}
"""
CONFIG = read(parse(TEXT)).config


def words(new: Config) -> list[str]:
    return [change.words for change in diff(CONFIG, new)]


def http(**fields: object) -> Config:
    return replace(CONFIG, virtual=(replace(CONFIG.virtual[0], **fields), *CONFIG.virtual[1:]))  # type: ignore[arg-type]


def test_nothing_changed_is_no_words() -> None:
    assert words(CONFIG) == []
    assert words(read(parse(TEXT)).config) == []


def test_a_field_has_its_old_and_new_value() -> None:
    assert words(replace(CONFIG, globals=replace(CONFIG.globals, serial_no=2))) == ["serial_no 1 → 2"]
    assert words(replace(CONFIG, globals=replace(CONFIG.globals, network=Forwarding.DIRECT))) == ["network nat → direct"]
    assert words(http(active=True)) == ["virtual server http: active 0 → 1"]
    assert words(http(send=None)) == ['virtual server http: send "GET /" → none']
    assert words(http(address=HostDevice("192.0.2.101", "eth1:1"))) == [
        "virtual server http: address 192.0.2.100 eth1:1 → 192.0.2.101 eth1:1"
    ]


def test_a_real_server_is_named_with_its_virtual_server() -> None:
    first, second = CONFIG.virtual[0].servers
    assert words(http(servers=(first, replace(second, weight=3)))) == ["real server number2 of http: weight 1 → 3"]


def test_what_is_added_is_described() -> None:
    new = VirtualServer(name="dns", port=53, servers=(RealServer(name="one", address="10.11.12.31", port=53),))
    assert words(replace(CONFIG, virtual=(*CONFIG.virtual, new))) == [
        "virtual server dns added: port 53 tcp, wlc, inactive",
        "real server one of dns added: 10.11.12.31:53, weight 1, inactive",
    ]


def test_what_is_removed_is_named_with_what_goes_along() -> None:
    assert words(replace(CONFIG, virtual=CONFIG.virtual[1:], failover=())) == [
        "virtual server http removed with its 2 real servers",
        "failover service ftp removed",
    ]


def test_a_new_name_is_a_new_name_and_not_another_server() -> None:
    assert words(http(name="web", port=81)) == ["virtual server http renamed to web", "virtual server web: port 80 → 81"]


def test_a_new_order_is_said() -> None:
    assert words(http(servers=CONFIG.virtual[0].servers[::-1])) == ["real servers of http in a new order: number2, number1"]


def test_files_that_differ_in_lines_alone_do_not_differ() -> None:
    assert diff(CONFIG, read(parse("# a comment\n" + TEXT)).config) == ()


def test_repeated_names_are_told_apart() -> None:
    twice = read(parse("virtual a {\n port = 1\n}\nvirtual a {\n port = 2\n}\n")).config
    new = replace(twice, virtual=(twice.virtual[0], replace(twice.virtual[1], port=3)))
    assert [change.words for change in diff(twice, new)] == ["virtual server a: port 2 → 3"]
    assert [change.words for change in diff(twice, replace(twice, virtual=twice.virtual[1:]))] == ["virtual server a removed"]


def test_words_hold_no_control_characters() -> None:
    assert words(http(name="a\x1b[31m")) == ["virtual server http renamed to a\\x1b[31m"]
