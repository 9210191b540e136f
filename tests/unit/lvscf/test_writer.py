"""One edit, the fewest changed lines: each rule of writing by its own example."""

from __future__ import annotations

import difflib
from dataclasses import replace

import pytest

from app.lvscf import (
    Config,
    FailoverService,
    GlobalSettings,
    HostDevice,
    RealServer,
    Scheduler,
    UnwritableValue,
    VirtualServer,
    load,
    parse,
    read,
    render,
    write,
)

FILE = """\
# our cluster
serial_no = 7
primary = 192.0.2.11   # lefty
keepalive =  6
deadtime = "18"

# the shop
virtual shop {
\tactive = 1
\taddress = 192.0.2.100   eth1:1
\tport = http
\tsend = "GET / HTTP/1.0\\r\\n\\r\\n"
\tscheduler = 'rr'
\tscheduler = wrr
\t# the first one
\tserver one {
\t\taddress = 10.11.12.21
\t\tweight = 1
\t}

\tserver two {
\t\taddress = 10.11.12.22
\t}
} # shop

virtual mail {
     port = 25
  }
"""


def changed(text: str, **fields: object) -> tuple[list[str], list[str]]:
    """Lines gone and lines new after an edit of the global settings."""
    document = parse(text)
    config = read(document).config
    return lines_changed(text, write(document, replace(config, globals=replace(config.globals, **fields))))  # type: ignore[arg-type]


def shop_changed(text: str = FILE, **fields: object) -> tuple[list[str], list[str]]:
    """Lines gone and lines new after an edit of the first virtual server."""
    document = parse(text)
    config = read(document).config
    first = replace(config.virtual[0], **fields)  # type: ignore[arg-type]
    new = replace(config, virtual=(first, *config.virtual[1:]))
    written = write(document, new)
    assert read(parse(written)).config == new
    return lines_changed(text, written)


def lines_changed(old: str, new: str) -> tuple[list[str], list[str]]:
    found = list(difflib.ndiff(old.split("\n"), new.split("\n")))
    return [line[2:] for line in found if line[0] == "-"], [line[2:] for line in found if line[0] == "+"]


def test_one_field_is_one_line_with_its_comment_and_spacing() -> None:
    assert changed(FILE, serial_no=8) == (["serial_no = 7"], ["serial_no = 8"])
    assert changed(FILE, primary="192.0.2.13") == (["primary = 192.0.2.11   # lefty"], ["primary = 192.0.2.13   # lefty"])
    assert changed(FILE, keepalive=0.5) == (["keepalive =  6"], ["keepalive =  0.5"])


def test_quotes_stay() -> None:
    assert changed(FILE, deadtime=20) == (['deadtime = "18"'], ['deadtime = "20"'])
    assert changed("debug_level = 'a b'\n", debug_level="c") == (["debug_level = 'a b'"], ["debug_level = 'c'"])
    assert changed("debug_level = 'a b'\n", debug_level="it's") == (["debug_level = 'a b'"], ['debug_level = "it\'s"'])
    assert changed("debug_level = a\n", debug_level="a b") == (["debug_level = a"], ['debug_level = "a b"'])
    assert changed("debug_level = a\n", debug_level="") == (["debug_level = a"], ['debug_level = ""'])


def test_the_line_that_counts_is_edited() -> None:
    assert shop_changed(scheduler=Scheduler.LC) == (["\tscheduler = wrr"], ["\tscheduler = lc"])


def test_half_an_address_is_edited_in_its_half() -> None:
    address = HostDevice("192.0.2.101", "eth1:1")
    assert shop_changed(address=address) == (["\taddress = 192.0.2.100   eth1:1"], ["\taddress = 192.0.2.101   eth1:1"])


def test_a_default_is_written_into_the_line_that_is_there() -> None:
    assert shop_changed(active=False) == (["\tactive = 1"], ["\tactive = 0"])
    assert changed(FILE, keepalive=2) == (["keepalive =  6"], ["keepalive =  2"])


def test_none_takes_its_lines_away() -> None:
    assert shop_changed(send=None) == (['\tsend = "GET / HTTP/1.0\\r\\n\\r\\n"'], [])
    assert changed(FILE, primary="0.0.0.0") == (["primary = 192.0.2.11   # lefty"], [])
    assert changed("backup = 10.1\nbackup = 10.2\n", backup="0.0.0.0") == (["backup = 10.1", "backup = 10.2"], [])


def test_a_new_line_stands_in_gui_order_with_its_neighbours_indentation() -> None:
    document = parse(FILE)
    config = read(document).config
    new = replace(config, virtual=(replace(config.virtual[0], vip_nmask="255.255.255.0", expect="HTTP", timeout=6), config.virtual[1]))
    lines = write(document, new).split("\n")
    assert lines[lines.index("\taddress = 192.0.2.100   eth1:1") + 1] == "\tvip_nmask = 255.255.255.0"
    assert lines[lines.index('\tsend = "GET / HTTP/1.0\\r\\n\\r\\n"') + 1] == '\texpect = "HTTP"'
    assert lines[lines.index("\tscheduler = wrr") + 1] == "\ttimeout = 6"


def test_several_new_lines_stand_in_gui_order() -> None:
    gone, new = changed(FILE, service="fos", network="direct", tcp_timeout=900, udp_timeout=300)
    assert (gone, new) == ([], ["service = fos", "network = direct", "tcp_timeout = 900", "udp_timeout = 300"])


def test_a_new_port_stands_above_the_servers_that_take_it() -> None:
    text = "virtual a {\n  server s {\n  }\n  active = 1\n}\n"
    document = parse(text)
    config = read(document).config
    written = write(document, replace(config, virtual=(replace(config.virtual[0], port=81),)))
    assert written == "virtual a {\n  port = 81\n  server s {\n  }\n  active = 1\n}\n"
    assert read(parse(written)).config.virtual[0].servers[0].effective_port == 81


def test_a_line_in_error_is_mended_by_an_edit_of_its_keyword() -> None:
    assert changed("keepalive=6 \n", keepalive=7) == (["keepalive=6 "], ["keepalive = 7"])
    assert shop_changed("virtual a {\n\tport = 80x # shop\n}\n", port=81) == (["\tport = 80x # shop"], ["\tport = 81 # shop"])


def test_a_first_directive_opens_the_body() -> None:
    assert shop_changed("virtual a {\n}\n", active=True) == ([], ["     active = 1"])
    document = parse("virtual a {\n  server s {\n  }\n}\n")
    config = read(document).config
    server = replace(config.virtual[0].servers[0], weight=5)
    written = write(document, replace(config, virtual=(replace(config.virtual[0], servers=(server,)),)))
    assert written == "virtual a {\n  server s {\n      weight = 5\n  }\n}\n"


def test_a_file_without_globals_gets_them_above_its_first_block_and_its_comment() -> None:
    written = write(parse("# about a\nvirtual a {\n}\n"), load("serial_no = 3\nvirtual a {\n}\n").config)
    assert written.startswith("serial_no = 3\n")


def test_renaming_is_an_edit_of_the_head() -> None:
    assert shop_changed(name="web shop") == (["virtual shop {"], ['virtual "web shop" {'])
    assert shop_changed("virtual 'a b' {  # x\n}\n", name="c") == (["virtual 'a b' {  # x"], ["virtual 'c' {  # x"])


def test_deleting_a_server_takes_its_own_lines() -> None:
    servers = read(parse(FILE)).config.virtual[0].servers
    gone, new = shop_changed(servers=servers[1:])
    assert (gone, new) == (["\tserver one {", "\t\taddress = 10.11.12.21", "\t\tweight = 1", "\t}"], [])


def test_deleting_a_virtual_server_leaves_comments_and_neighbours() -> None:
    document = parse(FILE)
    config = read(document).config
    written = write(document, replace(config, virtual=config.virtual[1:]))
    assert written == FILE[: FILE.index("virtual shop")] + FILE[FILE.index("} # shop") + len("} # shop\n") :]


def test_a_new_server_looks_like_its_neighbours_and_keeps_their_distance() -> None:
    servers = read(parse(FILE)).config.virtual[0].servers
    gone, new = shop_changed(servers=(*servers, RealServer(name="three", address="10.11.12.23", active=True)))
    assert gone == []
    assert new == ["", "\tserver three {", "\t\taddress = 10.11.12.23", "\t\tactive = 1", "\t\tweight = 1", "\t}"]


def test_a_new_server_can_be_the_first() -> None:
    document = parse(FILE)
    config = read(document).config
    shop = config.virtual[0]
    written = write(document, replace(config, virtual=(replace(shop, servers=(RealServer(name="zero"), *shop.servers)), config.virtual[1])))
    lines = written.split("\n")
    at = lines.index("\tserver zero {")
    assert lines[at - 1] == "\tscheduler = wrr"
    assert lines[lines.index("\t# the first one") + 1] == "\tserver one {"


def test_a_new_virtual_server_comes_last_with_its_servers() -> None:
    document = parse(FILE)
    config = read(document).config
    new = VirtualServer(name="dns", port=53, servers=(RealServer(name="one", address="10.11.12.31"),))
    written = write(document, replace(config, virtual=(*config.virtual, new)))
    assert written.startswith(FILE)
    assert written[len(FILE) :].startswith("\nvirtual dns {\n     active = 0\n     port = 53\n")
    assert read(parse(written)).config.virtual[2] == new


def test_servers_can_change_their_order_and_take_their_lines_along() -> None:
    servers = read(parse(FILE)).config.virtual[0].servers
    document = parse(FILE)
    config = read(document).config
    written = write(document, replace(config, virtual=(replace(config.virtual[0], servers=servers[::-1]), config.virtual[1])))
    assert sorted(line for line in written.split("\n") if line) == sorted(line for line in FILE.split("\n") if line)
    assert [server.name for server in read(parse(written)).config.virtual[0].servers] == ["two", "one"]


def test_a_server_moved_to_another_virtual_server_is_new_there() -> None:
    document = parse(FILE)
    config = read(document).config
    shop, mail = config.virtual
    new = replace(config, virtual=(replace(shop, servers=shop.servers[:1]), replace(mail, servers=shop.servers[1:])))
    assert read(parse(write(document, new))).config == new


def test_a_copy_of_a_block_is_a_block_of_its_own() -> None:
    document = parse(FILE)
    config = read(document).config
    new = replace(config, virtual=(*config.virtual, replace(config.virtual[0], name="copy")))
    assert read(parse(write(document, new))).config == new


def test_cr_lf_and_byte_order_mark_stay_and_new_lines_take_them_on() -> None:
    text = "\ufeff" + FILE.replace("\n", "\r\n")
    document = parse(text)
    config = read(document).config
    new = replace(config, globals=replace(config.globals, serial_no=8, udp_timeout=300), virtual=(*config.virtual, VirtualServer(name="x")))
    written = write(document, new)
    assert written.startswith("\ufeff# our cluster\r\nserial_no = 8\r\n")
    assert "\n" not in written.replace("\r\n", "")
    assert "\r" not in written.replace("\r\n", "")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_without_final_line_feed_stays_without(end: str) -> None:
    text = end.join(["serial_no = 1", "virtual a {", "}"])
    document = parse(text)
    config = read(document).config
    added = write(document, replace(config, virtual=(*config.virtual, ADDED)))
    assert added.startswith(text + end)
    assert added.endswith("}")
    assert write(document, replace(config, virtual=())) == "serial_no = 1" + end


ADDED = VirtualServer(name="b")


def test_an_unclosed_block_is_closed_when_another_follows() -> None:
    document = parse("virtual a {\n  server s {\n    weight = 2\n")
    config = read(document).config
    first = replace(config.virtual[0], active=True, servers=(*config.virtual[0].servers, RealServer(name="t")))
    new = Config(globals=config.globals, virtual=(first, VirtualServer(name="b")))
    written = write(document, new)
    assert not [found for found in load(written).diagnostics if found.severity == "error"]
    assert read(parse(written)).config == new


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"debug_level": "a\nb"}, "debug_level"),
        ({"debug_level": "a\0b"}, "debug_level"),
        ({"debug_level": "both ' and \""}, "debug_level"),
        ({"primary": "not a host"}, "primary"),
        ({"keepalive": float("nan")}, "keepalive"),
        ({"keepalive": float("inf")}, "keepalive"),
        ({"keepalive": 1e-12}, "keepalive"),
        ({"syncd_id": 300}, "syncd_id"),
        ({"serial_no": 10**30}, "serial_no"),
        ({"nat_router": HostDevice("10.1", "")}, "nat_router"),
        ({"service": "both"}, "service"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_field(fields: dict[str, object], field: str) -> None:
    for text in ("", "debug_level = x\nprimary = 10.1\nkeepalive = 2\nsyncd_id = 1\nnat_router = 10.2 eth0:1\nservice = lvs\n"):
        with pytest.raises(UnwritableValue) as refused:
            changed(text, **fields)
        assert refused.value.field == field
        assert len(refused.value.reason.split()) > 3


@pytest.mark.parametrize("send", ['a "quoted" word', "'a b", "a\nb"])
def test_texts_that_need_an_escape_for_quotes_are_refused(send: str) -> None:
    if send == "'a b":
        assert shop_changed(send=send)[1] == ['\tsend = "\'a b"']
        return
    with pytest.raises(UnwritableValue):
        shop_changed(send=send)


@pytest.mark.parametrize("name", ["", "a\nb", "a\0", "\"'"])
def test_names_that_cannot_be_written_are_refused(name: str) -> None:
    with pytest.raises(UnwritableValue) as refused:
        shop_changed(name=name)
    assert refused.value.field == "name"
    with pytest.raises(UnwritableValue):
        render(Config(virtual=(VirtualServer(name=name),)))


def test_short_forms_of_addresses_are_written_in_full() -> None:
    assert changed(FILE, backup="10.1")[1] == ["backup = 10.0.0.1"]


def test_a_new_file_follows_the_gui() -> None:
    config = Config(
        globals=GlobalSettings(serial_no=1, primary="192.0.2.11", nat_router=HostDevice("10.11.12.1", "eth0:1")),
        virtual=(
            VirtualServer(
                name="http",
                address=HostDevice("192.0.2.100", "eth1:1"),
                expect="HTTP",
                servers=(RealServer(name="number 1", address="10.11.12.21"),),
            ),
        ),
        failover=(FailoverService(name="ftp", port=21, start_cmd="/bin/x start"),),
    )
    assert render(config) == (
        "serial_no = 1\nprimary = 192.0.2.11\nservice = lvs\nbackup_active = 0\nheartbeat = 0\nheartbeat_port = 539\nkeepalive = 2\n"
        "deadtime = 5\nnetwork = nat\nnat_router = 10.11.12.1 eth0:1\ndebug_level = NONE\nmonitor_links = 0\nsyncdaemon = 0\n"
        "virtual http {\n     active = 0\n     address = 192.0.2.100 eth1:1\n     port = 80\n"
        '     expect = "HTTP"\n     use_regex = 0\n     load_monitor = none\n     scheduler = wlc\n     protocol = tcp\n'
        "     timeout = 10\n     reentry = 180\n     quiesce_server = 0\n"
        '     server "number 1" {\n         address = 10.11.12.21\n         active = 0\n         weight = 1\n     }\n}\n'
        'failover ftp {\n     active = 0\n     port = 21\n     timeout = 10\n     start_cmd = "/bin/x start"\n}\n'
    )
