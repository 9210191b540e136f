"""What may be typed, and the words when it may not."""

from __future__ import annotations

import pytest

from app.forms.values import Choice, Device, Host, Kind, Line, Mask, Number, Rejected, Seconds, address, readable

PORT = Number(1, 65535, "port")
BLANKABLE = Number(0, 100, "number", required=False, blank=0)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Host(), " 192.0.2.1 ", "192.0.2.1"),
        (Host(), "2001:DB8::0001", "2001:db8::1"),
        (Host(), "lvs1.example.org", "lvs1.example.org"),
        (Host(required=False), "", None),
        (Host(required=False), "0.0.0.0", None),
        (Mask(), "", "0.0.0.0"),
        (Mask(), "255.255.255.128", "255.255.255.128"),
        (PORT, "80", 80),
        (BLANKABLE, "", 0),
        (Seconds(), "0.5", 0.5),
        (Seconds(), "6", 6),
        (Device(), "eth1:1", "eth1:1"),
        (Device(), "bond0.100:web", "bond0.100:web"),
        (Line(), "GET / HTTP/1.0\\r\\n", "GET / HTTP/1.0\\r\\n"),
        (Line(), "", None),
        (Line(), "a\tb", "a\tb"),
    ],
)
def test_takes(kind: Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Host(), "192.0.2.300", "192.0.2.300 is not an address: each part goes up to 255."),
        (Host(), "192.0.2", "four numbers"),
        (Host(), "192.0.2.1.1", "four numbers"),
        (Host(), "192.0..1", "an empty part is not a number"),
        (Host(), "192.0.2.01", "write 1, not 01"),
        (Host(), "192.0.2.1/24", "the mask has its own field"),
        (Host(), "2001:db8:::1", "IPv6 address has groups"),
        (Host(), "lvs one", "neither an address nor a host name"),
        (Host(), "-", "is not an address"),
        (Host(), "", "An address is needed here."),
        (Host(), "0.0.0.0", 'means "no address"'),
        (Host(names=False), "sorry.example.org", "is not an address"),
        (Mask(), "255.0.255.0", "it has holes"),
        (Mask(), "24", "write 255.255.255.0"),
        (Mask(), "/24", "write 255.255.255.0"),
        (Mask(), "255.255.255.256", "is not a mask: each part goes up to 255."),
        (Mask(), "ffff::", "is not a mask"),
        (PORT, "70000", "a port goes up to 65535"),
        (PORT, "0", "the least is 1"),
        (PORT, "-1", "the least is 1"),
        (PORT, "http", "is not a port: only digits"),
        (PORT, "", "A port is needed here."),
        (PORT, "٣", "only digits"),
        (PORT, "1.5", "only digits"),
        (Seconds(), "soon", "not a number of seconds"),
        (Seconds(), "0", "more than 0"),
        (Seconds(), "1e3", "not a number of seconds"),
        (Seconds(), "99999999", "too long"),
        (Device(), "eth1 :1", "a blank in it"),
        (Device(), "a/b", "is not an interface"),
        (Device(), "averylonginterface", "at most 15 characters"),
        (Device(), "averylong:alias12", "15 characters"),
        (Device(required=True), "", "An interface is needed here"),
        (Line("name", required=True), "", "A name is needed here."),
        (Line("text"), "a" * 256, "256 bytes: at most 255"),
        (Line("text"), "ü" * 128, "256 bytes"),
        (Line("name"), "a'b\"c", "but not both"),
        (Line("text", quotes='"'), 'a"b', "no way to write it inside quotes"),
        (Line("name"), "a\x00b", "control character 0x00"),
        (Line("name"), "a\x1bb", "control character 0x1b"),
        (Choice((("a", "A"), ("b", "B"))), "c", "c is not one of the choices: a, b."),
        (Choice((("rsh", "rsh"),), refused=(("rsh", "rsh is refused."),)), "rsh", "rsh is refused."),
    ],
)
def test_refuses_in_words(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(Rejected) as refused:
        kind.parse(text)
    assert words in str(refused.value)


def test_an_address_comes_back_as_it_is_usually_written() -> None:
    assert address("2001:0db8:0::1") == "2001:db8::1"


def test_text_for_a_page_has_no_line_ends_nor_broken_bytes() -> None:
    assert readable("a\r\nb\udcff\0") == "ab\\xff\ufffd"
