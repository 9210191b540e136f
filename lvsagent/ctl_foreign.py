"""``lvsctl import`` and ``lvsctl export``: other programs' configurations in and out, on paper only.  ``import`` needs no agent.

Owns the arguments, what is printed where, and the exit statuses.  What becomes what is ``app.lvscf.foreign``'s; nothing is accepted here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.lvscf.foreign import Exported, Imported, SourceLine

OK, FAILED = 0, 1
SOURCES = ("keepalived", "ldirectord", "ipvsadm")
TARGETS = ("keepalived", "ipvsadm")
_TEXT_COLUMNS = 48

Add = Callable[..., argparse.ArgumentParser]
Present = Callable[[argparse.Namespace], str]


def add_commands(commands: Any, add: Add, present: Present) -> None:
    """Add both commands.  ``present`` asks the agent for lvs.cf's text."""
    take = add(commands, "import", _import, "make an lvs.cf of another program's configuration and accept nothing; needs no agent")
    take.add_argument("file", metavar="FILE", help="keepalived.conf, ldirectord.cf or what ipvsadm -Sn prints; - for standard input")
    take.add_argument("--from", dest="source", choices=SOURCES, help="whose it is (default: guessed from what it says)")
    take.add_argument("--device", default="eth0", metavar="IF", help="the interface of addresses for which it names none (%(default)s)")
    _out(take)
    give = add(commands, "export", lambda arguments: _export(arguments, present), "print an lvs.cf in another program's words")
    give.add_argument("file", nargs="?", default="", metavar="FILE", help="an lvs.cf; - for standard input (default: the agent's own)")
    give.add_argument("--to", dest="target", choices=TARGETS, required=True, help="for which program")
    give.add_argument("--node", choices=("primary", "backup"), default="primary", help="whose keepalived.conf (default: %(default)s)")
    _out(give)


def _out(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, metavar="FILE", help="write the result there instead of to standard output")


# --- in ------------------------------------------------------------------------------------------------------------------------


def _import(arguments: argparse.Namespace) -> int:
    """The new lvs.cf to standard output (or ``--out``), the report to standard error; with ``--json`` all of it in one object."""
    from app.lvscf.foreign import NotConvertible, Source, Verdict, import_text  # noqa: PLC0415

    try:
        imported = import_text(_read(arguments.file), Source(arguments.source) if arguments.source else None, arguments.device)
    except NotConvertible as error:
        return _refused(arguments, str(error))
    if arguments.json:
        json.dump(_as_values(imported), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stderr.write(_as_text(imported))
    if arguments.out or not arguments.json:
        _write(arguments.out, imported.text)
    return FAILED if any(line.verdict is Verdict.ERROR for line in imported.lines) else OK


def _as_values(imported: Imported) -> dict[str, Any]:
    return {
        "from": str(imported.source),
        "counts": {str(verdict): count for verdict, count in imported.counts().items()},
        "lines": [{"number": line.number, "text": line.text, "verdict": str(line.verdict), "words": line.words} for line in imported.lines],
        "remarks": list(imported.remarks),
        "diagnostics": [
            {"severity": str(found.severity), "code": found.code, "line": found.line, "message": found.message}
            for found in imported.diagnostics
        ],
        "text": imported.text,
    }


def _as_text(imported: Imported) -> str:
    from lvsagent.ctl_text import safe  # noqa: PLC0415

    lines = [_line(line) for line in imported.lines if line.words]
    remarks = [f"note: {remark}" for remark in imported.remarks]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in imported.counts().items())
    summary = f"{imported.source}: {counts or 'nothing'} ({len(imported.config.virtual)} virtual servers); nothing was accepted"
    return "".join(f"{safe(line)}\n" for line in (*lines, *remarks, summary))


def _line(line: SourceLine) -> str:
    text = line.text.strip()
    shown = text if len(text) <= _TEXT_COLUMNS else text[: _TEXT_COLUMNS - 1] + "…"
    return f"{line.number:>5} {line.verdict:<9} {shown:<{_TEXT_COLUMNS}}  {line.words}"


# --- out -----------------------------------------------------------------------------------------------------------------------


def _export(arguments: argparse.Namespace, present: Present) -> int:
    """The file to standard output (or ``--out``), what has no counterpart to standard error; an lvs.cf with errors is refused."""
    from app.lvscf import load  # noqa: PLC0415
    from app.lvscf.foreign import export_ipvsadm, export_keepalived  # noqa: PLC0415

    loaded = load(_read(arguments.file) if arguments.file else present(arguments))
    errors = [found for found in loaded.diagnostics if found.severity == "error"]
    if errors:
        words = "; ".join(f"line {found.line}: {found.message}" for found in errors[:5])
        return _refused(arguments, f"this lvs.cf has {len(errors)} errors, and nothing was exported: {words}")
    exported = export_ipvsadm(loaded.config) if arguments.target == "ipvsadm" else export_keepalived(loaded.config, arguments.node)
    _give(arguments, exported)
    return OK


def _give(arguments: argparse.Namespace, exported: Exported) -> None:
    from lvsagent.ctl_text import safe  # noqa: PLC0415

    if arguments.json:
        json.dump({"to": arguments.target, "missing": list(exported.missing), "text": exported.text}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stderr.write("".join(f"no counterpart: {safe(words)}\n" for words in exported.missing))
    if arguments.out or not arguments.json:
        _write(arguments.out, exported.text)


# --- both ----------------------------------------------------------------------------------------------------------------------


def _read(name: str) -> str:
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return data.decode("utf-8", "surrogateescape")


def _write(path: Path | None, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    else:
        path.write_bytes(data)


def _refused(arguments: argparse.Namespace, words: str) -> int:
    from lvsagent.ctl_text import safe  # noqa: PLC0415

    if arguments.json:
        sys.stdout.write(json.dumps({"error": {"code": "invalid", "message": words, "diagnostics": []}}) + "\n")
    sys.stderr.write(f"lvsctl: {safe(words)}\n")
    return FAILED
