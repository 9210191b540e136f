"""What goes out: the same table as the agent's own plan makes, and everything that has no counterpart said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from app.lvscf import Config, load, render
from app.lvscf.foreign import added, export_ipvsadm, export_keepalived, import_text, replaced
from app.lvscf.model import CheckKind, DnsRecord, FailoverService, Forwarding, HostDevice, RealServer, ServiceKind, VirtualServer
from lvsagent.core.desired import decide_all
from lvsagent.core.expansion import expand
from lvsagent.core.ipvsadm_text import rules
from tests.unit.lvscf.foreign_strategies import for_ipvsadm

SERVER = RealServer(name="one", address="10.0.0.1", active=True, port=80, effective_port=80)
PLAIN = VirtualServer(name="shop", active=True, address=HostDevice("192.0.2.100", "eth1:1"), servers=(SERVER,))
ASKED = replace(PLAIN, check=CheckKind.DNS, check_host="www.example.com")


def of(virtual: VirtualServer = PLAIN, **settings: object) -> Config:
    config = Config(virtual=(virtual,))
    return replace(config, globals=replace(config.globals, **{"deadtime": 6, **settings}))  # type: ignore[arg-type]


def normal(line: str) -> list[str]:
    """ipvsadm takes thresholds and never prints them, prints the kind of a tunnel without being asked, and the flags in its own order."""
    words = line.removesuffix(" --tun-type ipip").split()
    for option in ("-x", "-y"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return sorted(",".join(sorted(word.split(","))) for word in words)


@settings(max_examples=150)
@given(config=for_ipvsadm())
def test_the_rules_are_the_table_that_the_agent_plans_while_every_server_is_up(config: Config) -> None:
    config = load(render(config)).config
    expansion = expand(config, lambda _name: None)
    table = decide_all(expansion, {check.key: True for check in expansion.checks}, {})
    ours, agents = export_ipvsadm(config).text, rules(table)
    assert sorted(map(normal, ours.splitlines())) == sorted(map(normal, agents.splitlines()))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (of(replace(PLAIN, active=False)), "virtual shop: it is not active"),
        (of(replace(PLAIN, address=None)), "virtual shop: it has no IP address"),
        (of(replace(PLAIN, address=HostDevice("www.example.com", "eth0:1"))), "virtual shop: it has no IP address, but a host name"),
        (of(replace(PLAIN, servers=(replace(SERVER, active=False),))), "server one of shop: it is not active"),
        (of(replace(PLAIN, servers=(replace(SERVER, address="web"),))), "server one of shop: it has no IP address"),
        (of(replace(PLAIN, servers=(SERVER, replace(SERVER, name="two")))), "server two of shop: another has its address and port"),
        (of(replace(PLAIN, servers=())), "virtual shop: it has no real server, and is ignored there"),
        (of(replace(PLAIN, load_monitor="uptime")), "load_monitor of shop"),
        (of(replace(PLAIN, slow_start=30)), "slow_start of shop"),
        (of(replace(PLAIN, reentry=60, timeout=6)), "reentry of shop: a failed server is back after one good check"),
        (of(replace(PLAIN, send="EHLO", expect="250")), "send and expect of shop: no checker holds such a conversation"),
        (of(replace(PLAIN, send_program='/bin/x "a b"')), "send_program of shop: its command line has quotes"),
        (of(replace(PLAIN, send_program="/bin/x %h", expect="OK")), "expect of shop: a program's exit status counts"),
        (of(replace(PLAIN, check=CheckKind.AGENT)), "check = agent of shop: the port alone is checked"),
        (of(replace(PLAIN, check=CheckKind.TLS)), "check = tls of shop: the port alone is checked"),
        (of(replace(PLAIN, check=CheckKind.HTTPS, check_verify=True)), "check_verify of shop: any certificate will do"),
        (of(replace(PLAIN, check=CheckKind.HTTPS)), "check_cert_days of shop: nobody is told that a certificate ends"),
        (of(replace(PLAIN, check=CheckKind.HTTP, expect='say "ok"')), "expect of shop: the file cannot hold this pattern"),
        (of(replace(PLAIN, check=CheckKind.HTTP, expect="a\\\\d", use_regex=True)), "expect of shop: the file cannot hold this pattern"),
        (of(replace(PLAIN, check=CheckKind.DNS)), "check = dns of shop: it has no check_host, so nothing is checked, as here"),
        (of(replace(PLAIN, check=CheckKind.DNS, check_host="a.example")), "check_host = a.example of shop: it cannot be asked for there"),
        (of(replace(ASKED, check_record=DnsRecord.SRV)), "check_record = SRV of shop: it cannot be asked for there"),
        (of(replace(ASKED, expect="192.0.2.7")), "expect of shop: a DNS answer need not be a certain one"),
        (of(ASKED), "check = dns of shop: it is asked over UDP, not over TCP"),
        (of(replace(PLAIN, hold_down=30)), "hold_down of shop: a server that fails again and again"),
        (of(mass_failure_hold=60), "mass_failure_hold: servers that fail all at once leave all at once"),
        (of(replace(PLAIN, quorum=3)), "quorum of shop: there it is a sum of weights"),
        (of(replace(PLAIN, hysteresis=1)), "hysteresis of shop: it must be smaller than the quorum there"),
        (of(deadtime=7, keepalive=2), "deadtime = 7: it is a whole number of advertisements there, 8 seconds"),
        (of(keepalive=60, deadtime=180), "keepalive = 60: VRRP goes from 0.01 to 40.95 seconds"),
        (of(backup_active=True, primary="lb1", backup="lb2"), "primary and backup: they are not both IP addresses"),
        (of(backup_active=True, primary="192.0.2.1", backup="192.0.2.2"), "heartbeat_port and the key of `lvsctl pair`"),
        (of(syncdaemon=True), "syncdaemon: it needs a second director"),
        (of(service=ServiceKind.FOS), "service = fos"),
        (replace(of(), failover=(FailoverService(name="db"),)), "failover db: this is for virtual servers only"),
        (replace(of(), virtual=(PLAIN, replace(PLAIN, name="again"))), "virtual again: the same service as shop"),
    ],
)
def test_keepalived_conf_says_on_top_what_it_leaves_out(config: Config, words: str) -> None:
    exported = export_keepalived(config)
    assert any(entry.startswith(words) for entry in exported.missing), exported.missing
    assert f"# - {words}" in exported.text


@pytest.mark.parametrize(
    ("virtual", "lines"),
    [
        (PLAIN, ["HTTP_GET {", "path /", "status_code 100-599"]),
        (replace(PLAIN, check=CheckKind.HTTP), ["HTTP_GET {", "path /", "status_code 200-399"]),
        (
            replace(PLAIN, check=CheckKind.HTTPS, check_path="/up", check_host="www.example.com", check_status="200,301-302"),
            ["SSL_GET {", "enable_sni", "path /up", "virtualhost www.example.com", "status_code 200 301-302"],
        ),
        (replace(PLAIN, check=CheckKind.HTTP, expect="ok: *."), ['regex "^ok: .[.]"', "regex_options dotall"]),
        (replace(PLAIN, check=CheckKind.HTTP, expect="up|ready", use_regex=True), ['regex "up|ready"']),
        (replace(PLAIN, send="GET /x HTTP/1.0\\r\\n\\r\\n", expect="HTTP/1.* 200"), ["HTTP_GET {", "path /x", "status_code 200"]),
        (replace(PLAIN, check=CheckKind.SMTP, check_host="lb.example.com"), ["SMTP_CHECK {", "helo_name lb.example.com"]),
        (replace(PLAIN, expect="220"), ["SMTP_CHECK {"]),
        (ASKED, ["DNS_CHECK {", "type A", "name www.example.com"]),
        (replace(PLAIN, check=CheckKind.PING), ["PING_CHECK {"]),
        (replace(PLAIN, check=CheckKind.UDP, send="who", expect="*k"), ["UDP_CHECK {", "payload 77686f", "require_reply XX6b"]),
        (replace(PLAIN, check=CheckKind.PROGRAM, send_program="/bin/x %h %p"), ["MISC_CHECK {", 'misc_path "/bin/x 10.0.0.1 80"']),
        (replace(PLAIN, check=CheckKind.CONNECT, check_port=81), ["TCP_CHECK {", "connect_port 81"]),
        (replace(PLAIN, check=CheckKind.AGENT, check_port=82), ["TCP_CHECK {", "connect_port 82"]),
    ],
)
def test_each_kind_of_check_goes_out_as_the_checker_that_asks_the_same(virtual: VirtualServer, lines: list[str]) -> None:
    written = [line.strip() for line in export_keepalived(of(virtual)).text.splitlines()]
    assert [line for line in lines if line not in written] == []


def test_servers_that_do_not_translate_are_checked_at_ports_of_their_own_and_get_packets_at_the_virtual_servers() -> None:
    servers = (replace(SERVER, port=8081), replace(SERVER, name="two", address="10.0.0.2", port=8082))
    config = of(replace(PLAIN, check=CheckKind.CONNECT, servers=servers), network=Forwarding.DIRECT)
    text = export_keepalived(config).text
    assert [line.split()[:3] for line in text.splitlines() if "real_server" in line] == [
        ["real_server", "10.0.0.1", "80"],
        ["real_server", "10.0.0.2", "80"],
    ]
    assert [server.port for server in import_text(text).config.virtual[0].servers] == [8081, 8082]


def test_ipvsadm_rules_hold_no_comments_and_the_list_is_apart() -> None:
    exported = export_ipvsadm(of(replace(PLAIN, sorry_server="10.0.0.9", quiesce_server=True), tcp_timeout=900, syncdaemon=True))
    assert exported.text == "-A -t 192.0.2.100:80 -s wlc\n-a -t 192.0.2.100:80 -r 10.0.0.1:80 -m -w 1\n"
    said = "\n".join(exported.missing)
    for words in ("health checks", "virtual addresses", "--start-daemon master", "--set 900 0 0", "sorry_server of shop", "quiesce_server"):
        assert words in said


def test_names_that_keepalived_cannot_hold_do_no_harm() -> None:
    exported = export_keepalived(of(replace(PLAIN, name='a "b" {c} #d')))
    assert import_text(exported.text).config.virtual[0].name == "a b {c} #d"


def test_added_keeps_each_real_servers_method_and_gives_free_names() -> None:
    imported = import_text("-A -t 192.0.2.200:80 -s rr\n-a -t 192.0.2.200:80 -r 10.0.0.1:80 -g\n-a -t 192.0.2.200:80 -r 10.0.0.2:80 -m\n")
    present = of(replace(PLAIN, name="http-192.0.2.200"))
    taken = added(present, imported)
    assert [one.name for one in taken.config.virtual] == ["http-192.0.2.200", "http-192.0.2.200-2"]
    assert [server.forward for server in taken.config.virtual[1].servers] == [Forwarding.DIRECT, None]
    assert taken.words == ("http-192.0.2.200 is named http-192.0.2.200-2: lvs.cf has another of that name",)


def test_replaced_keeps_the_settings_that_the_source_does_not_name() -> None:
    imported = import_text("-A -t 192.0.2.200:80 -s rr\n-a -t 192.0.2.200:80 -r 10.0.0.1:80 -g\n--set 900 0 0\n")
    taken = replaced(of(primary="192.0.2.11"), imported).config
    assert (taken.globals.primary, taken.globals.tcp_timeout, taken.globals.network) == ("192.0.2.11", 900, Forwarding.DIRECT)
    assert [one.name for one in taken.virtual] == ["http-192.0.2.200"]
