"""``lvsctl check``: what is to be said about lvs.cf files, for people and for programs.  Needs no agent.

Owns the report's two forms and the names under which a configuration is shown.  What is wrong is app.lvscf's to find.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from app.lvscf import BY_LEVEL, Config, Diagnostic, HostDevice, Keyword, Level, Loaded, RealServer, Severity, load
from app.lvscf.diagnostics import shown
from app.lvscf.model import NO_ADDRESS, Block, GlobalSettings

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_WIDEST_LINE = 160


def run_check(files: Sequence[str], *, as_json: bool, colour: bool, out: TextIO) -> int:
    """Check lvs.cf files and write the report to ``out``.  0 when none has an error, 1 otherwise.

    ``as_json``: one object a file, each on one line; with several files each object names its ``file``.  A file that cannot be read
    counts as one with an error.
    """
    failed = False
    for name in files:
        loaded, diagnostics = _load_file(name)
        failed |= any(found.severity is Severity.ERROR for found in diagnostics)
        if as_json:
            out.write(json.dumps(_as_json(name if len(files) > 1 else None, loaded, diagnostics)) + "\n")
        else:
            out.writelines(line + "\n" for line in _as_text(name, loaded, diagnostics, colour=colour))
    return int(failed)


def _load_file(name: str) -> tuple[Loaded | None, tuple[Diagnostic, ...]]:
    try:
        content = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return None, (Diagnostic(Severity.ERROR, "unreadable-file", 0, f"cannot read {shown(name, 4096)}: {reason}"),)
    loaded = load(content.decode("utf-8", "surrogateescape"))
    return loaded, loaded.diagnostics


# --- for programs --------------------------------------------------------------------------------------------------------------


def _as_json(name: str | None, loaded: Loaded | None, diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    report: dict[str, Any] = {} if name is None else {"file": name}
    report["ok"] = all(found.severity is not Severity.ERROR for found in diagnostics)
    report["diagnostics"] = [
        {"severity": found.severity, "code": found.code, "line": found.line, "message": found.message} for found in diagnostics
    ]
    report["config"] = None if loaded is None else keyword_names(loaded.config)
    return report


def keyword_names(config: Config) -> dict[str, Any]:
    """The configuration under lvs.cf's own names, every keyword at its value or default, ``None`` where there is none.

    What is in force is shown: the private addresses with their fallback, a real server's port with its virtual server's.
    """
    settings = config.globals
    shown_globals = _fields(Level.GLOBAL, settings)
    if settings.primary_private is None:
        shown_globals |= {"primary_private": settings.primary, "backup_private": settings.backup}
    elif settings.backup_private is None:
        shown_globals["backup_private"] = settings.backup
    return {
        "global": shown_globals,
        "virtual": [_named(Level.BLOCK, block) | {"servers": [_server(server) for server in block.servers]} for block in config.virtual],
        "failover": [_named(Level.BLOCK, block) for block in config.failover],
    }


def _server(server: RealServer) -> dict[str, Any]:
    return _named(Level.SERVER, server) | {"port": server.effective_port}


def _named(level: Level, item: Block | RealServer) -> dict[str, Any]:
    return {"name": item.name} | _fields(level, item)


def _fields(level: Level, item: GlobalSettings | Block | RealServer) -> dict[str, Any]:
    return {name: _json_value(keyword, getattr(item, name)) for name, keyword in BY_LEVEL[level].items()}


def _json_value(keyword: Keyword, value: object) -> object:
    if value is None and keyword.zero_is_none:
        return NO_ADDRESS
    return str(value) if isinstance(value, HostDevice) else value


# --- for people ----------------------------------------------------------------------------------------------------------------


def _as_text(name: str, loaded: Loaded | None, diagnostics: Sequence[Diagnostic], *, colour: bool) -> Iterator[str]:
    label = shown(name, 4096)
    for found in diagnostics:
        place = f"{label}:{found.line}" if found.line else label
        severity = _painted(found.severity, _COLOURS[found.severity], colour=colour)
        yield f"{_painted(place, '1', colour=colour)}: {severity}: {found.message} [{found.code}]"
        if loaded is not None and found.line:
            yield from _excerpt(loaded, found, colour=colour)
    yield f"{label}: {_summary(loaded, diagnostics)}"


def _painted(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def _excerpt(loaded: Loaded, found: Diagnostic, *, colour: bool) -> Iterator[str]:
    """The line, and a caret under what is meant."""
    line = loaded.document.lines[found.line - 1].removesuffix("\r")
    start = max(found.column - 1 - (len(loaded.document.byte_order_mark) if found.line == 1 else 0), 0)
    before, marked, after = line[:start], line[start : start + found.width], line[start + found.width :]
    lead = _printable(before)
    text = lead + _printable(marked) + _printable(after)
    cut = max(len(lead) - _WIDEST_LINE // 2, 0) if len(text) > _WIDEST_LINE else 0
    gutter = f"{found.line:>6} | "
    yield gutter + text[cut : cut + _WIDEST_LINE]
    if found.width:
        carets = "^" + "~" * (min(len(_printable(marked)), _WIDEST_LINE - len(lead) + cut) - 1)
        yield " " * (len(gutter) - 2) + "| " + " " * (len(lead) - cut) + _painted(carets, _COLOURS[found.severity], colour=colour)


def _printable(text: str) -> str:
    return shown(text.expandtabs(8) if text.isspace() else text.replace("\t", " "), len(text) * 8 + 8)


def _summary(loaded: Loaded | None, diagnostics: Sequence[Diagnostic]) -> str:
    if loaded is None:
        return "not checked"
    counts = [(sum(found.severity is severity for found in diagnostics), severity) for severity in (Severity.ERROR, Severity.WARNING)]
    words = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for count, severity in counts if count)
    config = loaded.config
    servers = sum(len(virtual.servers) for virtual in config.virtual)
    content = [_counted(len(config.virtual), "virtual server"), _counted(servers, "real server")]
    if config.failover:
        content.append(_counted(len(config.failover), "failover service"))
    return f"{words or 'ok'} ({', '.join(content)})"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
