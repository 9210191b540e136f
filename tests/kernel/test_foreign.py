"""The judges of an export: Debian's keepalived and ipvsadm make the same table of it as the agent makes of the lvs.cf."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial

import pytest

from app.lvscf import load
from app.lvscf.foreign import Source, export_ipvsadm, export_keepalived, import_text
from tests import waiting
from tests.kernel import agent as agents
from tests.kernel import cluster as lab
from tests.kernel import net
from tests.kernel.agent import lvs_cf, virtual
from tests.kernel.keepalived_pair import Keepalived

pytestmark = pytest.mark.kernel("foreign")

until = partial(waiting.until, limit_s=agents.SETTLE_LIMIT_S)

MARK = """\
virtual mark {
     active = 1
     fwmark = 7
     port = 80
     persistent = 120
     pmask = 255.255.255.0
     scheduler = sh
     scheduler_flags = sh-port
     timeout = 1
     server one {
         address = 10.11.12.21
         active = 1
         weight = 5
     }
     server two {
         address = 10.11.12.22
         active = 1
         forward = tunnel
         weight = 2
     }
}
"""
TEXT = lvs_cf(
    virtual("http", 'send = "GET / HTTP/1.0\\r\\n\\r\\n"', 'expect = "HTTP/1.* 200"', "persistent = 60", "pmask = 255.255.255.0"),
    virtual("https", "check = connect", "scheduler = wlc", "quiesce_server = 1", port=443),
    virtual("names", "protocol = udp", 'send = "who"', 'expect = "number"', "one_packet = 1", port=lab.UDP_PORT),
    virtual("six", "vip_nmask = ffff:ffff:ffff:ffff::", "scheduler = mh", address=f"{lab.VIP6} eth1", servers=lab.ADDRESSES6),
    virtual("direct", "check = connect", "sorry_server = 10.11.12.23", port=80, address="192.0.2.101 eth1:2").replace(
        "weight = 1", "weight = 3\n         forward = direct"
    ),
    MARK,
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[lab.Cluster]:
    with lab.running() as running:
        yield running


@pytest.fixture(scope="module")
def ours(cluster: lab.Cluster) -> tuple[list[str], set[tuple[str, str]]]:
    """The table and the outer addresses as the agent makes them; the agent has stopped and left nothing."""
    with agents.running(TEXT):
        until(lambda: sum(line.startswith("-a") for line in lab.ipvsadm_rules()) == 17)
        rules, addresses = lab.ipvsadm_rules(), lab.director_addresses("eth1")
    assert lab.ipvsadm_rules() == []
    return rules, addresses


def keepalived(text: str) -> Keepalived:
    """On the director, with this keepalived.conf."""
    director = Keepalived("lefty", 1)
    (director.folder / "conf").write_text(text)
    director.start()
    return director


def test_keepalived_makes_the_same_table_and_brings_up_the_same_addresses(ours: tuple[list[str], set[tuple[str, str]]]) -> None:
    director = keepalived(export_keepalived(load(TEXT).config).text)
    try:
        until(lambda: lab.ipvsadm_rules() == ours[0], words=lambda: f"{ours[0]}\n{lab.ipvsadm_rules()}")
        until(lambda: lab.director_addresses("eth1") == ours[1], words=lambda: f"{ours[1]}\n{lab.director_addresses('eth1')}")
    finally:
        director.close()
    until(lambda: lab.ipvsadm_rules() == [])


def test_keepalived_finds_the_servers_up_by_the_exported_checks(cluster: lab.Cluster) -> None:
    """It takes a server out whose program has died, and back in: the check is one that this server passes."""
    text = lvs_cf(virtual("http", 'send = "GET / HTTP/1.0\\r\\n\\r\\n"', 'expect = "HTTP/1.* 200"', "check_timeout = 1"))
    director = keepalived(export_keepalived(load(text).config).text)
    try:
        until(lambda: len(lab.ipvsadm_rules()) == 4)
        cluster.stop("number2")
        until(lambda: [line for line in lab.ipvsadm_rules() if "10.11.12.22" in line] == [])
        cluster.start("number2")
        until(lambda: len(lab.ipvsadm_rules()) == 4)
    finally:
        director.close()
    until(lambda: lab.ipvsadm_rules() == [])


def test_ipvsadm_restores_the_same_table(ours: tuple[list[str], set[tuple[str, str]]]) -> None:
    rules = export_ipvsadm(load(TEXT).config).text
    with net.namespace("lefty"):
        done = subprocess.run(["ipvsadm", "-R"], input=rules, text=True, capture_output=True, check=False)
        try:
            assert (done.returncode, done.stderr) == (0, "")
            assert lab.ipvsadm_rules() == ours[0]
        finally:
            net.output("ipvsadm", "-C")


def test_what_ipvsadm_prints_comes_in_and_goes_out_as_the_same_table(ours: tuple[list[str], set[tuple[str, str]]]) -> None:
    imported = import_text("\n".join(ours[0]) + "\n", Source.IPVSADM, "eth1")
    assert [line.words for line in imported.lines if line.verdict in {"error", "lost"}] == []
    with net.namespace("lefty"):
        try:
            subprocess.run(["ipvsadm", "-R"], input=export_ipvsadm(imported.config).text, text=True, check=True)
            assert lab.ipvsadm_rules() == ours[0]
        finally:
            net.output("ipvsadm", "-C")
