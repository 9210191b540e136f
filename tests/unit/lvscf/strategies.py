"""What the property tests draw from: any text, files made of plausible and broken lines, and configurations derived from a file's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from app.lvscf import BY_LEVEL, Config, FailoverService, HostDevice, Keyword, Level, RealServer, ValueType, VirtualServer

T = TypeVar("T")

any_text = st.binary(max_size=400).map(lambda content: content.decode("utf-8", "surrogateescape"))

_NAMES = ["http", "number1", "a b", "Ümlaut", "{", "=", "#x", "it's", '"q"', "x}", "virtual", "\udcff"]
_BROKEN = [
    *["}", "{", "} # done", "virtual", "virtual {", "virtual x", "virtual x{", "virtual x { }", "server s {", "server 'a b' {", "pool p {"],
    *[
        "x = {",
        "port=80",
        "port = 5x",
        "port = 80 81",
        "port = ",
        "weight",
        "expect_program = x",
        "send = 'a b' x",
        'send = "a',
        "\0",
        "a\rb",
    ],
    *["failover = 3", "# comment", "   # indented", "", "\t", "serial_no = 5 # inline", 'debug_level = "x" ', "deadtime = 3"],
    *["primary = 0.0.0.0", "pmask = rubbish"],
]


def values_of(keyword: Keyword) -> st.SearchStrategy[object]:
    """Values that the keyword can be given."""
    device = st.sampled_from(["eth0", "eth1:1", "bond0.100:3"])
    address = st.one_of(st.ip_addresses(v=4).map(str).filter(lambda text: text != "0.0.0.0"), st.ip_addresses(v=6).map(str))
    host = st.one_of(address, st.sampled_from(["director", "lb-1.example.com"]))
    text = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=12).filter(
        lambda text: not ("'" in text or '"' in text)
    )
    limits = keyword.range
    low, high = (int(limits.hard[0]), int(limits.hard[1])) if limits is not None and limits.hard is not None else (0, 255)
    known: dict[ValueType, st.SearchStrategy[object]] = {
        ValueType.INTEGER: st.integers(low, high),
        ValueType.BOOLEAN: st.booleans(),
        ValueType.SECONDS: st.integers(low, high),
        ValueType.DECIMAL: st.one_of(st.integers(0, 100), st.sampled_from([0.1, 0.25, 2.5, 1e-3])),
        ValueType.PORT: st.integers(1, 65535),
        ValueType.PORT_NUMBER: st.integers(0, 65535),
        ValueType.HOST: host,
        ValueType.ADDRESS: address,
        ValueType.HOST_DEVICE: st.builds(HostDevice, host, device),
        ValueType.MASK: st.sampled_from(["0.0.0.0", "255.255.255.0", "255.255.255.255"]),
        ValueType.STRING: text,
        ValueType.TEXT: text,
        ValueType.COMMAND: text,
    }
    special: dict[str, st.SearchStrategy[object]] = {
        "syncd_iface": device,
        "scheduler_flags": st.sampled_from(["sh-port", "flag-1,flag-2"]),
        "check_path": st.sampled_from(["/", "/health?full=1", "/a#b"]),
        "check_host": st.sampled_from(["www.example.com", "2001:db8::1", "_dmarc.example.com."]),
        "check_status": st.sampled_from(["200", "200-299,301"]),
    }
    if keyword.type is ValueType.WORD:
        assert keyword.words is not None
        values: st.SearchStrategy[object] = st.sampled_from(list(keyword.words))
    else:
        values = special.get(keyword.name, known.get(keyword.type, st.nothing()))
    return st.one_of(values, st.just(keyword.default))


names = st.one_of(
    st.sampled_from([name for name in _NAMES if name != "\udcff"]),
    st.text(st.characters(exclude_characters="\n\0\r\"'", exclude_categories=["Cs"]), min_size=1, max_size=8),
).filter(lambda name: not ("'" in name and '"' in name))


@st.composite
def _directive(draw: st.DrawFn, level: Level) -> str:
    keyword = draw(st.sampled_from(list(BY_LEVEL[level].values())))
    value = draw(values_of(keyword))
    raw = str(int(value)) if isinstance(value, bool) else "none" if value is None else str(value)
    quote = '"' if " " in raw and not isinstance(value, HostDevice) else draw(st.sampled_from(["", '"']))
    if isinstance(value, HostDevice):
        quote = ""
    equals = draw(st.sampled_from([" = ", " =  ", "\t=\t"]))
    return f"{keyword.name}{equals}{quote}{raw}{quote}"


@st.composite
def _body(draw: st.DrawFn, level: Level) -> list[str]:
    line = st.one_of(_directive(level), _directive(level), st.sampled_from(_BROKEN), _directive(Level.GLOBAL))
    indent = draw(st.sampled_from(["", "     ", "\t"]))
    return [indent + draw(line) for _ in range(draw(st.integers(0, 5)))]


@st.composite
def _block(draw: st.DrawFn, kind: str) -> list[str]:
    name = draw(st.sampled_from(["http", '"a b"', "number1", "'x y'", "{", "ü"]))
    lines = [f"{kind} {name} {{" + draw(st.sampled_from(["", "", " # why"]))]
    lines += draw(_body(Level.SERVER if kind == "server" else Level.BLOCK))
    if kind == "virtual":
        for _ in range(draw(st.integers(0, 3))):
            lines += draw(_block("server"))
            lines += draw(st.lists(_directive(Level.BLOCK), max_size=1))
    if draw(st.integers(0, 5)):
        lines.append("}")
    return lines


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files that look like lvs.cf, mended and broken."""
    lines = draw(_body(Level.GLOBAL))
    for kind in draw(st.lists(st.sampled_from(["virtual", "virtual", "failover"]), max_size=4)):
        lines += draw(_block(kind))
        lines += draw(st.lists(st.one_of(st.sampled_from(_BROKEN), _directive(Level.GLOBAL)), max_size=2))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    mark = draw(st.sampled_from(["", "", "", "\ufeff"]))
    return mark + end.join(lines) + draw(st.sampled_from([end, end, ""]))


@st.composite
def _edited(draw: st.DrawFn, level: Level, item: T) -> T:
    keywords = draw(st.lists(st.sampled_from(list(BY_LEVEL[level].values())), max_size=3))
    fields = {keyword.name: draw(values_of(keyword)) for keyword in keywords}
    if level is not Level.GLOBAL and not draw(st.integers(0, 4)):
        fields["name"] = draw(names)
    return dataclasses.replace(item, **fields)  # type: ignore[type-var]


@st.composite
def _blocks(draw: st.DrawFn, level: Level, new: Callable[..., T], items: tuple[T, ...]) -> tuple[T, ...]:
    chosen: list[T] = []
    for item in items:
        if not draw(st.integers(0, 5)):
            continue
        chosen.append(draw(_edited(level, item)) if draw(st.booleans()) else item)
    if not draw(st.integers(0, 3)):
        chosen = list(draw(st.permutations(chosen)))
    for _ in range(draw(st.integers(0, 2))):
        added = draw(_edited(level, new(name=draw(names))))
        chosen.insert(draw(st.integers(0, len(chosen))), added)
    for index, item in enumerate(chosen):
        if isinstance(item, VirtualServer) and draw(st.booleans()):
            servers = draw(_blocks(Level.SERVER, RealServer, item.servers))
            chosen[index] = dataclasses.replace(item, servers=servers)
    return tuple(chosen)


@st.composite
def derived(draw: st.DrawFn, config: Config) -> Config:
    """A configuration made from this one by editing, adding, deleting, renaming and moving."""
    return Config(
        globals=draw(_edited(Level.GLOBAL, config.globals)),
        virtual=draw(_blocks(Level.BLOCK, VirtualServer, config.virtual)),
        failover=draw(_blocks(Level.BLOCK, FailoverService, config.failover)),
    )
