"""Every diagnostic is found where it is, with its severity; and a clean file has none."""

from __future__ import annotations

import pytest

from app.lvscf import CODES, load

CLEAN = """\
serial_no = 1
primary = 192.0.2.11
service = lvs
network = nat
virtual http {
     active = 1
     address = 192.0.2.100 eth1:1
     vip_nmask = 255.255.255.0
     port = 80
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     expect = "HTTP"
     scheduler = rr
     timeout = 6
     reentry = 15
     server number1 {
         address = 10.11.12.21
         active = 1
     }
}
"""


def virtual(*lines: str, server: str = "") -> str:
    """A clean file in which line 6 and those after it belong to the virtual server."""
    body = "".join(f"     {line}\n" for line in lines)
    head, middle, tail = CLEAN.partition("     active = 1\n     address = 192.0.2.100 eth1:1\n")
    inside = "         address = 10.11.12.21\n"
    return head + body + middle + tail.replace(inside, inside + (f"         {server}\n" if server else ""))


def top(*lines: str) -> str:
    """A clean file with these lines first."""
    return "".join(f"{line}\n" for line in lines) + CLEAN


# code → (text, line on which it is found)
EXAMPLES: dict[str, tuple[str, int]] = {
    "empty-file": ("", 0),
    "nul-byte": (top("debug_level = a\0b"), 1),
    "byte-order-mark": ("\ufeff" + CLEAN, 1),
    "crlf": (CLEAN.replace("\n", "\r\n"), 1),
    "lone-carriage-return": (top("# a\rb"), 1),
    "not-utf8": (top("# caf\udce9"), 1),
    "inline-comment": (top("debug_level = NONE # why"), 1),
    "quote-then-blank": (top('debug_level = "NONE" '), 1),
    "unclosed-quote": (virtual('send_program = "/bin/x %h'), 6),
    "text-after-quote": (virtual('send_program = "/bin/x"y'), 6),
    "equals-needs-blanks": (top("keepalive=6"), 1),
    "missing-equals": (top("keepalive 6"), 1),
    "missing-value": (top("keepalive ="), 1),
    "surplus-text": (top("keepalive = 6 7"), 1),
    "brace-needs-blank": (CLEAN + "virtual b{\n}\n", 20),
    "missing-brace": (CLEAN + "virtual b\n{\n}\n", 20),
    "missing-name": (CLEAN + "virtual {\n}\n", 20),
    "one-line-block": (CLEAN + "virtual b { port = 80 }\n", 20),
    "unclosed-block": (CLEAN + "virtual b {\n  port = 81\n", 20),
    "stray-brace": (CLEAN + "}\n", 20),
    "unknown-keyword": (virtual("prot = 80"), 6),
    "wrong-level": (virtual("deadtime = 18"), 6),
    "obsolete-keyword": (virtual("nmask = 255.255.255.0"), 6),
    "unused-keyword": (virtual("expect_program = /bin/x"), 6),
    "repeated-directive": (top("keepalive = 5", "keepalive = 6"), 2),
    "repeated-name": (CLEAN + "virtual http {\n}\n", 20),
    "bad-integer": (top("tcp_timeout = 5x"), 1),
    "bad-number": (top("keepalive = soon"), 1),
    "bad-boolean": (top("backup_active = yes"), 1),
    "bad-word": (virtual("scheduler = best"), 6),
    "bad-host": (top("backup = 10.0.0.300"), 1),
    "bad-mask": (virtual("vip_nmask = /24"), 6),
    "bad-port": (virtual("port = 80,443"), 6),
    "bad-device": (top("nat_router = 10.11.12.1 an-interface-too-long:1"), 1),
    "bad-regex": (virtual("use_regex = 1").replace('"HTTP"', '"HT(TP"'), 12),
    "out-of-range": (virtual("port = 70000"), 6),
    "text-too-long": (CLEAN.replace('"HTTP"', '"' + "x" * 256 + '"'), 11),
    "no-address": (top("primary_private = 0.0.0.0"), 1),
    "empty-value": (top('tcp_timeout = ""'), 1),
    "doubtful-value": (virtual("persistent = 9999999"), 6),
    "masked-value": (top("syncd_id = 256"), 1),
    "doubtful-mask": (virtual("pmask = 255.0.255.0"), 6),
    "host-name": (top("backup = righty.example.com"), 1),
    "unknown-escape": (CLEAN.replace('"HTTP"', '"HTTP\\x"'), 11),
    "load-monitor-unknown": (virtual("load_monitor = top"), 6),
    "nothing-active": (CLEAN.replace("     active = 1\n     address", "     active = 0\n     address"), 0),
    "no-active-server": (CLEAN.replace("         active = 1\n", "         active = 0\n"), 5),
    "active-without-address": (CLEAN.replace("     address = 192.0.2.100 eth1:1\n", ""), 6),
    "duplicate-service": (CLEAN + "virtual other {\n  address = 192.0.2.100 eth1:2\n  port = http\n}\n", 21),
    "duplicate-server": (CLEAN.replace("     }\n", "     }\n     server number2 {\n         address = 10.11.12.21\n     }\n"), 20),
    "fwmark-without-persistence": (virtual("fwmark = 3"), 6),
    "udp-without-expect": (CLEAN.replace('     expect = "HTTP"\n', "     protocol = udp\n"), 11),
    "program-without-expect": (CLEAN.replace('     expect = "HTTP"\n', "     send_program = /bin/x\n"), 11),
    "check-incomplete": (CLEAN.replace('     expect = "HTTP"\n', "     check = dns\n"), 11),
    "check-keyword-unused": (virtual("check_path = /health"), 6),
    "weight-without-parts": (virtual("slow_start = 30"), 6),
    "load-without-weights": (virtual("load_monitor = uptime", server="weight = 100"), 6),
    "expect-is-the-body": (virtual("check = http"), 12),
    "plain-check-on-tls-port": (CLEAN.replace("port = 80", "port = 443"), 10),
    "reentry-below-timeout": (CLEAN.replace("reentry = 15", "reentry = 5"), 14),
    "deadtime-too-short": (top("keepalive = 6", "deadtime = 17"), 2),
    "server-port-differs": (virtual(server="port = 8080").replace("network = nat", "network = direct"), 17),
    "port-after-servers": (CLEAN.replace("     port = 80\n", "").replace("     }\n}", "     }\n     port = 81\n}"), 18),
    "nat-without-router": (top("backup = 192.0.2.12"), 5),
    "device-without-alias": (CLEAN.replace("eth1:1", "eth1"), 7),
    "tcp-timeout-small": (top("tcp_timeout = 10"), 1),
    "backup-active-without-backup": (top("nat_router = 10.11.12.1 eth0:1", "deadtime = 18", "backup_active = 1"), 3),
    "vip-is-director": (CLEAN.replace("192.0.2.11\n", "192.0.2.100\n"), 7),
    "vip-is-real-server": (CLEAN.replace("10.11.12.21", "192.0.2.100"), 7),
    "no-vip": (CLEAN.replace("192.0.2.100 eth1:1", "0.0.0.0 eth1:1"), 7),
    "port-zero": (CLEAN.replace("port = 80", "port = 0"), 9),
    "one-packet-without-udp": (virtual("one_packet = 1"), 6),
    "mixed-families": (CLEAN.replace("10.11.12.21", "2001:db8::21"), 16),
    "thresholds-crossed": (virtual(server="upper_threshold = 5\n         lower_threshold = 6"), 18),
    "one-packet-with-nat": (virtual("one_packet = 1", "protocol = udp"), 6),
    "threshold-alone": (virtual(server="lower_threshold = 6"), 17),
    "pe-without-udp": (virtual("pe = sip"), 6),
    "pe-without-persistence": (virtual("pe = sip", "protocol = udp"), 6),
    "pe-without-one-packet": (virtual("persistent = 60", "pe = sip", "protocol = udp"), 7),
    "flag-of-other-scheduler": (virtual("scheduler_flags = sh-port"), 6),
    "hysteresis-above-servers": (virtual("hysteresis = 1"), 6),
    "sorry-port-alone": (virtual("sorry_port = 8080"), 6),
    "sorry-port-unused": (virtual("sorry_server = 10.11.12.99", "sorry_port = 8080").replace("network = nat", "network = direct"), 7),
    "bad-mark-ports": (virtual("mark_ports = 80/tpc"), 6),
    "mark-ports-overlap": (
        virtual("fwmark = 1", "mark_ports = 79-81")
        + "virtual other {\n  address = 192.0.2.100 eth1:1\n  fwmark = 2\n  mark_ports = 80/tcp\n}\n",
        25,
    ),
    "mark-ports-unused": (virtual("mark_ports = 80"), 6),
    "quorum-unreachable": (virtual("quorum = 2"), 6),
    "not-in-use-yet": (top("virtual_mac = 1"), 1),
    "hard-shutdown-kept": (top("hard_shutdown = 1"), 1),
    "rsh-refused": (top("rsh_command = rsh"), 1),
}


def test_a_clean_file_has_no_finding() -> None:
    assert load(CLEAN).diagnostics == ()


def test_every_code_has_its_example() -> None:
    assert EXAMPLES.keys() == CODES.keys()


@pytest.mark.parametrize("code", EXAMPLES)
def test_it_is_found_on_its_line_with_its_severity(code: str) -> None:
    text, line = EXAMPLES[code]
    loaded = load(text)
    found = [(found.line, found.severity) for found in loaded.diagnostics if found.code == code]
    assert found == [(line, CODES[code][0])], loaded.diagnostics
    assert str(loaded.document) == text


@pytest.mark.parametrize("code", EXAMPLES)
def test_its_message_tells_more_than_its_code(code: str) -> None:
    text, _ = EXAMPLES[code]
    message = next(found.message for found in load(text).diagnostics if found.code == code)
    assert len(message.split()) >= 4
    assert message[0] == message[0].lower() or message.startswith(("NAT", "UDP", "TCP", "Piranha"))
    assert not message.endswith(".")


def test_all_problems_are_said_at_once() -> None:
    text = "keepalive=6\nnonsense = 1\nvirtual http {\n  port = 70000\n  weight = 1\n  server a {\n    weight = x\n"
    found = [(found.line, found.code) for found in load(text).diagnostics if found.severity == "error"]
    assert found == [
        (1, "equals-needs-blanks"),
        (2, "unknown-keyword"),
        (3, "unclosed-block"),
        (4, "out-of-range"),
        (5, "wrong-level"),
        (6, "unclosed-block"),
        (7, "bad-integer"),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("keepaliv = 6", "keepalive"),
        ("Keepalive = 6", "lower case: keepalive"),
        ("backupactive = 1", "backup_active"),
        ("shedule = rr", "scheduler"),
        ("xyzzy = 1", "no keyword xyzzy among the global settings"),
        ("weight = 1", "belongs in a server block, not among the global settings"),
        ("port = 80", "in a virtual or failover block or in a server block"),
    ],
)
def test_a_word_that_is_no_keyword_here_is_met_with_the_one_that_was_meant(line: str, words: str) -> None:
    first = load(f"{line}\n").diagnostics[0]
    messages = [found.message for found in load(f"{line}\n").diagnostics if found.line == 1]
    assert any(words in message for message in messages), first


def test_it_points_at_the_word_that_is_wrong() -> None:
    found = next(found for found in load(virtual("  port = 70000")).diagnostics if found.code == "out-of-range")
    assert (found.column, found.width) == (15, 5)


def test_messages_hold_no_control_character_and_nothing_that_is_not_utf8() -> None:
    loaded = load(
        "virtual a\x1b[31m\udcff {\n}\nvirtual a\x1b[31m\udcff {\n}\nsch\x07 = 1\n"
        "virtual b {\n  mark_ports = \x1b\n}\nvirtual c {\n  mark_ports = 80/\x1b\n}\n"
    )
    assert "bad-mark-ports" in {found.code for found in loaded.diagnostics}
    for found in loaded.diagnostics:
        assert found.message.isprintable()
        found.message.encode()


@pytest.mark.parametrize(
    ("monitor", "scheduler", "weight", "code", "words"),
    [
        ("uptime", "rr", 100, "load-without-weights", "scheduler rr looks at no weights"),
        ("rup", "dh", 100, "load-without-weights", "scheduler dh looks at no weights"),
        ("ruptime", "fo", 100, "load-without-weights", "to scheduler fo a weight is no share"),
        ("uptime", "wlc", 1, "weight-without-parts", "load_monitor = uptime gives a server a part"),
        ("uptime", "wlc", 100, "", ""),
        ("none", "rr", 1, "", ""),
    ],
)
def test_a_load_that_can_change_nothing_is_warned_of(monitor: str, scheduler: str, weight: int, code: str, words: str) -> None:
    text = virtual(f"load_monitor = {monitor}", server=f"weight = {weight}").replace("scheduler = rr", f"scheduler = {scheduler}")
    found = load(text).diagnostics
    assert [one.code for one in found] == ([code] if code else [])
    assert all(words in one.message for one in found)


def test_errors_in_one_block_leave_the_others_in_use() -> None:
    loaded = load(CLEAN + "virtual broken{\n  port = 81\n}\nvirtual fine {\n  port = 82\n}\n")
    assert [(server.name, server.port) for server in loaded.config.virtual] == [("http", 80), ("fine", 82)]


def test_a_missing_brace_costs_one_error_and_nothing_else() -> None:
    text = "virtual a {\n  server one {\n    weight = 2\n  server two {\n    weight = 3\n  }\n}\nvirtual b {\nserial_no = 4\n"
    loaded = load(text)
    assert [(found.line, found.code) for found in loaded.diagnostics if found.severity == "error"] == [
        (2, "unclosed-block"),
        (8, "unclosed-block"),
        (9, "wrong-level"),
    ]
    assert [(server.name, server.weight) for server in loaded.config.virtual[0].servers] == [("one", 2), ("two", 3)]
