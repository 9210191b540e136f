"""What every page shares during one request: the services, the snapshot, the configuration, and the header's words.

For a view (its own file never talks to ``g`` or the header):

- ``services()``: the agent and the caches behind it.
- ``snapshot(virtual=…, servers=True, …)``: the state for this page.  Ask once with what the page needs: the header uses the same answer.
- ``current_config()``: ``(ConfigText, Loaded)``, from the cache where possible; while the agent is down the last one known, for reading.
- ``agent_down()``: why a change cannot be accepted now, ``""`` when it can.  Templates have it as ``agent_down``.
- ``safe_target(url)``: whether a redirect target stays inside the console.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from app.lvscf import Loaded
from app.presentation import Header, header
from app.safeguards import REFRESH_S, Countdown, countdown
from app.services import Query, Services, Snapshot
from app.settings import ConsoleSettings
from lvsagent.client import AgentDown, ConfigText

EXTENSION = "piranha"
TABS = (
    ("/control", "CONTROL/MONITORING"),
    ("/global-settings", "GLOBAL SETTINGS"),
    ("/redundancy", "REDUNDANCY"),
    ("/virtual-servers", "VIRTUAL SERVERS"),
)
FAILOVER_TAB = ("/failover", "FAILOVER")
OWN_TABS = (
    ("/lvs-cf", "LVS.CF"),
    ("/history", "HISTORY"),
)
"""What Piranha did not have comes after what it had."""
BELONGS = {"/drift": "/redundancy", "/conflict": "/redundancy", "/import": "/lvs-cf", "/health": "/virtual-servers"}
"""Pages that have no tab of their own, and the tab that they belong to."""


def init_app(app: Flask, settings: ConsoleSettings, services: Services) -> None:
    """Make the services reachable and the header's words known to every template."""
    app.extensions[EXTENSION] = services
    app.config["CONSOLE_SETTINGS"] = settings
    app.config["ASSET_VERSION"] = _asset_version(app)
    app.context_processor(_template_words)


def services() -> Services:
    """The services of the running console."""
    return cast("Services", current_app.extensions[EXTENSION])


def settings() -> ConsoleSettings:
    """The settings of the running console."""
    return cast("ConsoleSettings", current_app.config["CONSOLE_SETTINGS"])


def snapshot(**query: Any) -> Snapshot:
    """The state for this page: one question to the agent a request, unless a view asks different ones.

    ``query`` as in ``app.services.Query``.  Without arguments: whatever this request already knows.
    """
    if not query and "snapshot" in g:
        return cast("Snapshot", g.snapshot)
    found = services().state.snapshot(Query(**query))
    if "snapshot" not in g or query:
        g.snapshot = found
    return found


def current_config() -> tuple[ConfigText, Loaded]:
    """lvs.cf and what it means.  Raises AgentDown when the agent is down and none was seen before."""
    known = snapshot()
    config = services().config
    if known.down:
        kept = config.latest()
        if kept is None:
            raise AgentDown(known.reason)
        return kept
    return config.current(known.state.config.etag if known.state else "")


def agent_down() -> str:
    """Why nothing can be accepted now; empty when the agent answers."""
    return snapshot().reason


def safe_target(url: str) -> str:
    """``url`` if it is a path inside the console, else ``/``."""
    parts = urlsplit(url.replace("\\", "/"))
    inside = url.startswith("/") and not parts.scheme and not parts.netloc and not url.replace("\\", "/").startswith("//")
    return url if inside and url.isprintable() else "/"


def _template_words() -> dict[str, object]:
    """Available in every template.  ``frame`` and ``agent_down`` are asked for only by pages with a header."""
    return {"frame": _Frame(), "agent_down": agent_down, "asset_version": current_app.config["ASSET_VERSION"]}


def _asset_version(app: Flask) -> str:
    """Another address for the style sheet whenever it changes, so that browsers never mix versions."""
    folder = Path(app.static_folder or "")
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("css/*.css")) + sorted(folder.glob("js/*.js")))
    return hashlib.sha256(content).hexdigest()[:12]


class _Frame:
    """The header's words, made when a template first asks: the login page never asks the agent anything."""

    @property
    def header(self) -> Header:
        """Which director this is, its role, the peer, the serial, the data plane."""
        if "header" not in g:
            g.header = header(snapshot(), services().wall())
        return cast("Header", g.header)

    @property
    def guard(self) -> Countdown | None:
        """The change that goes back by itself, if there is one."""
        return countdown(snapshot().state, services().wall())

    @property
    def guard_refresh_s(self) -> int:
        """How often the page comes again without JavaScript while a countdown runs; 0: it does not."""
        guard = self.guard
        return REFRESH_S if request.method == "GET" and guard is not None and not guard.returned else 0

    @property
    def here(self) -> str:
        """Where to come back to after a button of the frame."""
        return safe_target(request.args["next"] if "next" in request.args else request.full_path.rstrip("?"))

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """(path, label, whether it is the current one)."""
        state = snapshot().state
        piranhas = (*TABS, FAILOVER_TAB) if state is not None and state.config.service == "fos" else TABS
        tabs = (*piranhas, *OWN_TABS)
        here = next((tab for page, tab in BELONGS.items() if f"{request.path}/".startswith(f"{page}/")), request.path)
        return [(path, label, f"{here}/".startswith(f"{path}/")) for path, label in tabs]


class ConsoleResponse(Response):
    """An answer that can always be sent: bytes of lvs.cf that are not UTF-8 are shown as the replacement character."""

    def set_data(self, value: bytes | str) -> None:
        """As in Flask, for any text."""
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
        super().set_data(value)
