"""lvs.cf read: its text, its meaning, what is to be said about it, and what the data plane makes of it.

Owns turning bytes into a ``Configuration``, once for every text.  It writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.lvscf import Config, Diagnostic, Document, ServiceKind, Severity, load
from lvsagent.core.clean_text import clean
from lvsagent.core.expansion import expand, host_names
from lvsagent.core.pools import Expansion
from lvsagent.core.table import ServerKey, ServiceKey
from lvsagent.garbage import uncollected
from lvsagent.lvsd.names import Names
from lvsagent.ports import ConfigFile
from lvsagent.wire import DiagnosticInfo

INLINE_BYTES = 64 * 1024
"""A larger file is read in a thread, so that the loop goes on answering."""
DECISIVE = frozenset({"network", "service"})
"""Global keywords without which no virtual server can be served as it was meant."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One lvs.cf, read.  ``file.exists`` is false for the empty configuration that stands for a missing file."""

    file: ConfigFile
    config: Config
    expansion: Expansion
    diagnostics: tuple[DiagnosticInfo, ...] = ()
    errors: int = 0
    warnings: int = 0

    @property
    def serial(self) -> int:
        """serial_no."""
        return self.config.globals.serial_no

    def name_of(self, service: ServiceKey, server: ServerKey | None) -> str:
        """What lvs.cf calls a virtual server or a real server in it; ``""`` when it does not name it."""
        pool = self.expansion.pools.get(service)
        if pool is None:
            return ""
        if server is None:
            return clean(pool.name)
        return next((clean(member.name) for member in pool.members if member.key == server), "sorry server" if pool.sorry else "")


def nothing(file: ConfigFile) -> Configuration:
    """The empty configuration, for when there is no lvs.cf."""
    return Configuration(file, Config(), Expansion())


def decoded(data: bytes) -> str:
    """lvs.cf's bytes as text, without loss."""
    return data.decode("utf-8", "surrogateescape")


async def read_configuration(file: ConfigFile, names: Names) -> Configuration:
    """Read ``file`` and resolve its host names.  Never fails: errors are in ``diagnostics``."""
    if len(file.data) <= INLINE_BYTES:
        found, document = _parsed(file.data)
    else:
        found, document = await asyncio.to_thread(_parsed, file.data)
    read = found if not found.errors else replace(found, config=_readable(found, document))
    await names.look_up(host_names(read.config))
    if len(file.data) <= INLINE_BYTES:
        return expanded(replace(read, file=file), names)
    return await asyncio.to_thread(expanded, replace(read, file=file), names)


def expanded(configuration: Configuration, names: Names) -> Configuration:
    """The same configuration with the addresses that its host names have now."""
    with uncollected():
        return replace(configuration, expansion=expand(configuration.config, names.address))


def _parsed(data: bytes) -> tuple[Configuration, Document]:
    with uncollected():
        loaded = load(decoded(data))
    count = _counter(loaded.diagnostics)
    infos = tuple(
        DiagnosticInfo(severity=one.severity.value, code=one.code, line=one.line, message=clean(one.message)) for one in loaded.diagnostics
    )
    read = Configuration(ConfigFile(b"", ""), loaded.config, Expansion(), infos, count(Severity.ERROR), count(Severity.WARNING))
    return read, loaded.document


def _counter(diagnostics: tuple[Diagnostic, ...]) -> Callable[[Severity], int]:
    return lambda severity: sum(one.severity is severity for one in diagnostics)


def _readable(read: Configuration, document: Document) -> Config:
    """What of a file with errors can be served as it was meant: the virtual servers that have no error in them."""
    wrong = {one.line for one in read.diagnostics if one.severity == Severity.ERROR}
    if any(line and document.lexed[line - 1].word in DECISIVE for line in wrong if line <= len(document.lexed)):
        return replace(read.config, virtual=())
    spoilt = {block.key for block in document.root.blocks if any(line in wrong for line in range(block.head + 1, block.end + 2))}
    return replace(read.config, virtual=tuple(virtual for virtual in read.config.virtual if virtual.key not in spoilt))


def serves(config: Config) -> bool:
    """Whether virtual servers are in use at all (``service = lvs``)."""
    return config.globals.service is ServiceKind.LVS
