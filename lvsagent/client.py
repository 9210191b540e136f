"""The agent's API from the caller's side: synchronous, small, over the Unix socket; the console and lvsctl use it.

Owns the mapping between HTTP answers and Python: a 2xx becomes a typed value, anything else one of the exceptions below.
It decides nothing and retries nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lvsagent.wire import Checks, DiagnosticInfo, Events, Receipt, State, TrialReport, TrialRequest


class AgentError(Exception):
    """Any answer but success; the message is in words."""


class AgentDown(AgentError):
    """No agent answers on the socket (not running, no permission to connect, or it took too long)."""


class AgentRefused(AgentError):
    """The agent answered no for another reason than the two below (forbidden, unavailable, too large …)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class StaleConfig(AgentError):
    """412: lvs.cf is no longer the one the write was based on; ``etag`` is that of the file now."""

    def __init__(self, message: str, etag: str) -> None:
        super().__init__(message)
        self.etag = etag


class InvalidConfig(AgentError):
    """422: the text has errors; nothing was written."""

    def __init__(self, message: str, diagnostics: Sequence[DiagnosticInfo]) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


@dataclass(frozen=True, slots=True)
class ConfigText:
    """lvs.cf as text (UTF-8 with surrogateescape, line ends untouched) and its ETag.  ``exists`` false: there is no file yet."""

    text: str
    etag: str
    exists: bool = True


class Agent(Protocol):
    """What callers use.  AgentClient is the real one, ``tests.fakes.agent.FakeAgent`` behaves like it."""

    def config(self) -> ConfigText: ...

    def previous_config(self) -> ConfigText | None:
        """The text before the last accepted change (for UNDO); ``None`` when there was none."""
        ...

    def put_config(self, text: str, *, if_match: str, comment: str = "", actor: str = "", dry_run: bool = False) -> Receipt:
        """Raises StaleConfig, InvalidConfig, AgentRefused, AgentDown."""
        ...

    def state(
        self, *, virtual: str = "", search: str = "", page: int = 1, per_page: int = 50, servers: bool = False, sort: str = ""
    ) -> State:
        """The snapshot with one page of virtual servers.

        ``virtual``: exactly that name; ``search``: part of a name or address, real servers' included; ``servers``: with their real servers;
        ``sort``: ``""`` (the file's order), ``name``, ``state``, ``connections`` or ``rate``.
        """
        ...

    def events(self, *, limit: int = 20, before: int = 0) -> Events: ...

    def checks(self, *, virtual: str = "", page: int = 1, per_page: int = 50) -> Checks: ...

    def trial(self, request: TrialRequest) -> TrialReport:
        """TEST NOW.  Raises StaleConfig when ``request.etag`` is not the file's."""
        ...

    def announce(self) -> None:
        """Send gratuitous ARP for every address again.  Raises AgentRefused when this director is not active."""
        ...

    def table_text(self, *, rules: bool = False) -> str:
        """The data plane's table as ``ipvsadm -L -n`` prints it, or with ``rules`` as ``ipvsadm -S -n`` does."""
        ...
