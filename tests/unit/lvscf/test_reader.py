"""What a file says: the last one counts, errors do not, a server's port is known where its block opens."""

from __future__ import annotations

from app.lvscf import Config, HostDevice, load, parse, read

HEAD = "primary = 192.0.2.11\n"


def codes(text: str) -> list[tuple[int, str]]:
    return [(found.line, found.code) for found in read(parse(text)).diagnostics]


def test_an_empty_document_is_all_defaults() -> None:
    assert read(parse("# nothing\n")).config == Config()
    assert codes("# nothing\n") == []
    assert codes("\n\n") == []


def test_a_document_is_read_once() -> None:
    document = parse(HEAD)
    assert read(document) is read(document)


def test_the_last_of_a_repeated_directive_counts() -> None:
    text = "keepalive = 1\nkeepalive = 2\nkeepalive = x\n"
    assert read(parse(text)).config.globals.keepalive == 2
    assert codes(text) == [(2, "repeated-directive"), (3, "bad-number")]


def test_a_directive_in_one_block_does_not_repeat_that_of_another() -> None:
    assert codes("virtual a {\n port = 1\n}\nvirtual b {\n port = 2\n}\n") == []


def test_servers_without_port_have_the_virtual_servers_as_known_there() -> None:
    text = "virtual a {\n server one {\n }\n port = 81\n server two {\n }\n server three {\n  port = 8080\n }\n port = 82\n}\n"
    virtual = read(parse(text)).config.virtual[0]
    assert virtual.port == 82
    assert [(server.port, server.effective_port) for server in virtual.servers] == [(None, 80), (None, 81), (8080, 8080)]
    assert codes(text) == [(10, "repeated-directive"), (10, "port-after-servers")]


def test_blocks_of_both_kinds_stay_in_order_with_repeated_names() -> None:
    config = read(parse("failover f {\n}\nvirtual v {\n}\nvirtual v {\n}\n")).config
    assert [server.name for server in config.virtual] == ["v", "v"]
    assert [server.key for server in config.virtual] == [3, 5]
    assert [service.name for service in config.failover] == ["f"]


def test_failover_blocks_take_every_directive_of_virtual_ones() -> None:
    config = read(parse('failover f {\n address = 192.0.2.1 eth0:1\n scheduler = rr\n start_cmd = "/bin/x y"\n}\n')).config
    assert config.failover[0].address == HostDevice("192.0.2.1", "eth0:1")
    assert config.failover[0].scheduler == "rr"
    assert config.failover[0].start_cmd == "/bin/x y"


def test_a_server_in_the_wrong_place_is_said_and_not_used() -> None:
    assert codes("server s {\n weight = x\n}\n") == [(1, "wrong-level"), (2, "bad-integer")]
    assert codes("failover f {\n server s {\n }\n}\n") == [(2, "wrong-level")]


def test_a_block_of_an_unknown_kind_is_kept_in_one_piece() -> None:
    text = "pool p {\n anything = 1\n}\nserial_no = 3\n"
    assert codes(text) == [(1, "unknown-keyword")]
    assert read(parse(text)).config.globals.serial_no == 3


def test_a_brace_on_the_next_line_costs_one_error_and_the_block() -> None:
    text = "virtual a\n\n# why\n{\n port = 81\n}\nserial_no = 3\n"
    assert codes(text) == [(1, "missing-brace")]
    assert read(parse(text)).config.virtual == ()
    assert read(parse(text)).config.globals.serial_no == 3


def test_the_end_of_the_file_closes_what_is_open_and_that_is_said() -> None:
    text = "virtual a {\n port = 81\n server s {\n  weight = 2\n"
    config = read(parse(text)).config
    assert (config.virtual[0].port, config.virtual[0].servers[0].weight) == (81, 2)
    assert codes(text) == [(1, "unclosed-block"), (3, "unclosed-block")]


def test_line_ends_of_other_systems_mean_nothing_else() -> None:
    plain = HEAD + 'virtual a {\n port = http\n send = "x y"\n}\n'
    other = "\ufeff" + plain.replace("\n", "\r\n")
    assert read(parse(other)).config == read(parse(plain)).config
    assert [code for _, code in codes(other)] == ["byte-order-mark", "crlf", "host-name"][:2]


def test_only_a_line_feed_ends_a_line() -> None:
    for mark in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        config = read(parse(f'debug_level = "a{mark}b"\nserial_no = 4\n')).config
        assert config.globals.debug_level == f"a{mark}b"
        assert config.globals.serial_no == 4


def test_a_nul_byte_makes_its_line_unusable() -> None:
    text = "serial_no = 4\0\nvirtual a\0 {\n port = 80\n}\n"
    assert codes(text) == [(1, "nul-byte"), (2, "nul-byte")]
    assert read(parse(text)).config == Config()


def test_bytes_of_another_encoding_are_kept() -> None:
    text = b"virtual caf\xe9 {\n}\n".decode("utf-8", "surrogateescape")
    assert read(parse(text)).config.virtual[0].name == "caf\udce9"
    assert codes(text) == [(1, "not-utf8")]


def test_what_is_wrong_on_several_counts_is_said_in_the_order_of_lines() -> None:
    lines = [found.line for found in load("a\n}\nvirtual x{\nport=1\n").diagnostics]
    assert lines == sorted(lines)
