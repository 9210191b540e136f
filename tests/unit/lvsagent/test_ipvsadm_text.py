"""The table as ipvsadm 1.31 prints it (the kernel tests hold the same functions to the real program)."""

from __future__ import annotations

from app.lvscf.model import Forwarding, Protocol
from lvsagent.core.ipvsadm_text import listing, rules
from lvsagent.core.table import Counters, Entry, Family, Server, ServerKey, Service, ServiceKey

ONE, TWO, TEN = (ServerKey(f"10.11.12.{number}", 80) for number in (1, 2, 10))
TABLE = {
    ServiceKey(Family.IPV4, fwmark=7): Entry(Service("wlc", 400, 24), {ServerKey("10.11.12.1", 0): Server(1, Forwarding.DIRECT)}),
    ServiceKey(Family.IPV6, Protocol.TCP, "2001:db8::100", 80): Entry(
        Service("sh", 60, 64, scheduler_flags=frozenset({"flag-1", "flag-2"}))
    ),
    ServiceKey(Family.IPV4, Protocol.UDP, "192.0.2.100", 53): Entry(Service("rr", one_packet=True)),
    ServiceKey(Family.IPV4, Protocol.TCP, "192.0.2.100", 80): Entry(
        Service("rr"),
        {TEN: Server(0), TWO: Server(3, Forwarding.TUNNEL), ONE: Server(1)},
        server_counters={ONE: Counters(active=12, inactive=345)},
    ),
}


def test_the_listing_has_ipvsadms_columns_and_order() -> None:
    assert listing(TABLE, version="1.2.1", size=4096).splitlines() == [
        "IP Virtual Server version 1.2.1 (size=4096)",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
        "TCP  192.0.2.100:80 rr",
        "  -> 10.11.12.1:80                Masq    1      12         345       ",
        "  -> 10.11.12.2:80                Tunnel  3      0          0         ",
        "  -> 10.11.12.10:80               Masq    0      0          0         ",
        "UDP  192.0.2.100:53 rr ops",
        "TCP  [2001:db8::100]:80 sh (sh-fallback,sh-port) persistent 60 mask 64",
        "FWM  7 wlc persistent 400 mask 255.255.255.0",
        "  -> 10.11.12.1:0                 Route   1      0          0         ",
    ]


def test_the_rules_are_what_ipvsadm_reads_back() -> None:
    assert rules(TABLE).splitlines() == [
        "-A -t 192.0.2.100:80 -s rr",
        "-a -t 192.0.2.100:80 -r 10.11.12.1:80 -m -w 1",
        "-a -t 192.0.2.100:80 -r 10.11.12.2:80 -i -w 3 --tun-type ipip",
        "-a -t 192.0.2.100:80 -r 10.11.12.10:80 -m -w 0",
        "-A -u 192.0.2.100:53 -s rr -o",
        "-A -t [2001:db8::100]:80 -s sh -p 60 -M 64 -b sh-fallback,sh-port",
        "-A -f 7 -s wlc -p 400 -M 255.255.255.0",
        "-a -f 7 -r 10.11.12.1:0 -g -w 1",
    ]


def test_an_empty_table_is_a_heading_and_no_rules() -> None:
    assert len(listing({}, version="1.2.1", size=4096).splitlines()) == 3
    assert rules({}) == ""
