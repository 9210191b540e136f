"""The agent's API from the caller's side: synchronous, small, over the Unix socket; the console and lvsctl use it.

Owns the mapping between HTTP answers and Python: a 2xx becomes a typed value, anything else one of the exceptions of ``answers``.
It decides nothing and retries nothing.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from lvsagent.answers import (
    Agent,
    AgentDown,
    AgentError,
    AgentRefused,
    ConfigText,
    InvalidConfig,
    PlanGrown,
    StaleConfig,
    Unconfirmed,
    Unread,
)
from lvsagent.wire import (
    Checks,
    ConflictInfo,
    DoctorReport,
    DoctorRequest,
    Events,
    Explanation,
    FailoverRequest,
    GuardInfo,
    GuardRequest,
    OverrideRequest,
    OverridesInfo,
    PairingInfo,
    PairingRequest,
    Problem,
    Receipt,
    Rehearsal,
    RehearsalRequest,
    Rehearsals,
    Released,
    ReleaseRequest,
    Revisions,
    State,
    SyncInfo,
    SyncRequest,
    TrialReport,
    TrialRequest,
)

__all__ = [
    "Agent",
    "AgentClient",
    "AgentDown",
    "AgentError",
    "AgentRefused",
    "ConfigText",
    "InvalidConfig",
    "PlanGrown",
    "StaleConfig",
    "Unconfirmed",
    "Unread",
]

T = TypeVar("T")

PUT_TIMEOUT_S = 120.0
"""Applying tens of thousands of real servers takes its time, and giving up early would hide what came of it."""
TRIAL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: the same protocol, another way to connect."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("agent", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class AgentClient:
    """An ``Agent`` behind ``socket_path``.  Safe to share between threads: every call has its own connection.

    ``actor`` is who is said to have made a change when the call names nobody; the agent records the caller's user id beside it.
    ``origin`` is what this client is: console or lvsctl.
    """

    def __init__(self, socket_path: str | os.PathLike[str], timeout_s: float = 5, actor: str = "", origin: str = "console") -> None:
        self._path = Path(socket_path)
        self._timeout_s = timeout_s
        self._actor = actor
        self._origin = origin
        self._lock = threading.Lock()
        self._cached: ConfigText | None = None

    def config(self) -> ConfigText:
        """lvs.cf as it stands.  An unchanged file crosses the socket once."""
        with self._lock:
            cached = self._cached
        headers = {"If-None-Match": f'"{cached.etag}"'} if cached else {}
        answer = self._call("GET", "/v1/config", headers=headers)
        if answer.status == 304 and cached:
            exists = answer.headers.get("X-Exists", "1") == "1"
            return cached if exists == cached.exists else ConfigText(cached.text, cached.etag, exists)
        fresh = _config_text(_success(answer))
        with self._lock:
            self._cached = fresh
        return fresh

    def previous_config(self) -> ConfigText | None:
        """The text before the last accepted change; ``None`` when there was none."""
        answer = self._call("GET", "/v1/config/previous")
        if answer.status == 404:
            return None
        return _config_text(_success(answer))

    def history(self, *, limit: int = 50, before: int = 0) -> Revisions:
        """The newest revisions, or those before one."""
        return _decoded(self._call("GET", "/v1/history" + _query({"limit": limit, "before": before})), Revisions)

    def revision_text(self, number: int) -> ConfigText | None:
        """lvs.cf as that revision left it; ``None`` when there is no such text."""
        answer = self._call("GET", f"/v1/history/{int(number)}/text")
        if answer.status == 404:
            return None
        return _config_text(_success(answer))

    def put_config(  # noqa: PLR0913 -- each is a header of its own
        self,
        text: str,
        *,
        if_match: str,
        comment: str = "",
        actor: str = "",
        dry_run: bool = False,
        origin: str = "",
        plan: str = "",
        confirm: str = "",
        guard_s: float = 0.0,
        joins: str = "",
    ) -> Receipt:
        """Write and apply lvs.cf (or, with ``dry_run``, only say what that would do)."""
        headers = {
            "If-Match": f'"{if_match}"',
            "X-Comment": quote(comment, errors="surrogateescape"),
            "X-Actor": quote(actor or self._actor, errors="surrogateescape"),
            "X-Origin": origin or self._origin,
            **{
                name: value
                for name, value in (("X-Plan", plan), ("X-Confirm", confirm), ("X-Guard", f"{guard_s:g}"))
                if value not in {"", "0"}
            },
            "Content-Type": "text/plain; charset=utf-8",
        }
        if joins:
            headers["X-Joins"] = joins
        answer = self._call(
            "PUT",
            "/v1/config" + _query({"dry_run": dry_run}),
            body=text.encode("utf-8", "surrogateescape"),
            headers=headers,
            timeout_s=max(self._timeout_s, PUT_TIMEOUT_S),
        )
        return _decoded(answer, Receipt)

    def state(
        self, *, virtual: str = "", search: str = "", page: int = 1, per_page: int = 50, servers: bool = False, sort: str = ""
    ) -> State:
        """The snapshot with one page of virtual servers."""
        query: dict[str, str | int | bool] = {
            "virtual": virtual,
            "search": search,
            "page": page,
            "per_page": per_page,
            "servers": servers,
            "sort": sort,
        }
        return _decoded(self._call("GET", "/v1/state" + _query(query)), State)

    def sync(self) -> SyncInfo:
        """How the other director's lvs.cf stands to this one's."""
        return _decoded(self._call("GET", "/v1/sync"), SyncInfo)

    def sync_action(self, action: str, *, actor: str = "") -> SyncInfo:
        """Compare, adopt, restore or reconcile now."""
        request = SyncRequest(action=action, actor=actor or self._actor)
        timeout_s = max(self._timeout_s, PUT_TIMEOUT_S)
        return _decoded(self._call("POST", "/v1/sync", body=_encoded(request), timeout_s=timeout_s), SyncInfo)

    def conflict(self) -> ConflictInfo | None:
        """The three texts of a conflict; ``None`` when there is none."""
        answer = self._call("GET", "/v1/sync/conflict")
        return None if answer.status == 404 else _decoded(answer, ConflictInfo)

    def foreign_text(self) -> str:
        """The virtual servers that lvs.cf does not name, as blocks of an lvs.cf."""
        return _success(self._call("GET", "/v1/sync/foreign")).body.decode("utf-8", "surrogateescape")

    def events(self, *, limit: int = 20, before: int = 0) -> Events:
        """The newest events, or those before the event ``before``."""
        return _decoded(self._call("GET", "/v1/events" + _query({"limit": limit, "before": before})), Events)

    def checks(self, *, virtual: str = "", page: int = 1, per_page: int = 50) -> Checks:
        """A page of checks with their last results."""
        return _decoded(self._call("GET", "/v1/checks" + _query({"virtual": virtual, "page": page, "per_page": per_page})), Checks)

    def explain(self, key: str) -> Explanation:
        """A check and its last results, newest first."""
        return _decoded(self._call("GET", f"/v1/checks/{quote(_shown(key), safe='')}/results"), Explanation)

    def release(self, key: str = "", *, actor: str = "") -> Released:
        """End hold-downs and the brake's holds."""
        request = ReleaseRequest(key=_shown(key), actor=actor or self._actor)
        return _decoded(self._call("POST", "/v1/health/release", body=_encoded(request)), Released)

    def trial(self, request: TrialRequest) -> TrialReport:
        """TEST NOW; waits for the slowest real server."""
        timeout_s = max(self._timeout_s, TRIAL_TIMEOUT_S)
        return _decoded(self._call("POST", "/v1/trial", body=_encoded(request), timeout_s=timeout_s), TrialReport)

    def doctor(self, virtual: str) -> DoctorReport:
        """What the doctor has found on the real servers of a virtual server."""
        return _decoded(self._call("GET", "/v1/doctor" + _query({"virtual": virtual})), DoctorReport)

    def examine(self, virtual: str, *, actor: str = "") -> DoctorReport:
        """Have them looked at."""
        request = DoctorRequest(virtual=_shown(virtual), actor=actor or self._actor)
        return _decoded(self._call("POST", "/v1/doctor", body=_encoded(request)), DoctorReport)

    def announce(self) -> None:
        """Send gratuitous ARP for every address again."""
        _success(self._call("POST", "/v1/announce"))

    def failover(self, action: str, *, actor: str = "", reason: str = "") -> None:
        """Move the role, or keep it from moving here."""
        request = FailoverRequest(action=action, actor=actor or self._actor, reason=reason)
        _success(self._call("POST", "/v1/failover", body=_encoded(request)))

    def guard(self, action: str, *, actor: str = "", etag: str = "") -> GuardInfo:
        """Confirm the change that is watched, or have it go back."""
        request = GuardRequest(action=action, actor=actor or self._actor, etag=etag)
        return _decoded(self._call("POST", "/v1/guard", body=_encoded(request), timeout_s=max(self._timeout_s, PUT_TIMEOUT_S)), GuardInfo)

    def overrides(self) -> OverridesInfo:
        """What operators have decided about real servers, newest first."""
        return _decoded(self._call("GET", "/v1/servers"), OverridesInfo)

    def override(self, request: OverrideRequest) -> OverridesInfo:
        """Drain, force up or down, weigh, or take that back."""
        named = msgspec.structs.replace(request, actor=request.actor or self._actor)
        return _decoded(self._call("POST", "/v1/servers", body=_encoded(named)), OverridesInfo)

    def rehearsals(self) -> Rehearsals:
        """The failovers that were measured, newest first."""
        return _decoded(self._call("GET", "/v1/rehearsals"), Rehearsals)

    def add_rehearsal(self, rehearsal: Rehearsal) -> None:
        """Remember one."""
        _success(self._call("POST", "/v1/rehearsals", body=_encoded(rehearsal)))

    def pairing(self) -> PairingInfo:
        """Whom this director is paired with."""
        return _decoded(self._call("GET", "/v1/pairing"), PairingInfo)

    def change_pairing(self, request: PairingRequest) -> PairingInfo:
        """Wait with a code, join with one, stop waiting, or unpair."""
        named = msgspec.structs.replace(request, actor=request.actor or self._actor)
        return _decoded(self._call("POST", "/v1/pairing", body=_encoded(named)), PairingInfo)

    def rehearse(self, request: RehearsalRequest) -> None:
        """Measure a failover on the agent's own host."""
        asked = msgspec.structs.replace(request, actor=request.actor or self._actor)
        _success(self._call("POST", "/v1/rehearsals/run", body=_encoded(asked)))

    def table_text(self, *, rules: bool = False) -> str:
        """The table as ipvsadm prints it."""
        return _success(self._call("GET", "/v1/table" + _query({"rules": rules}))).body.decode("utf-8", "surrogateescape")

    def peer(self, request: bytes, timeout_s: float) -> bytes:
        """What the other director asks, carried by ``lvsagent receive``; the answer as it is.  Nobody else may call it."""
        headers = {"Content-Type": "application/json"}
        return _success(self._call("POST", "/v1/peer", body=request, headers=headers, timeout_s=timeout_s)).body

    def _call(
        self, method: str, target: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None, timeout_s: float = 0
    ) -> _Answer:
        connection = _UnixConnection(os.fspath(self._path), timeout_s or self._timeout_s)
        try:
            connection.request(method, target, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return _Answer(response.status, response.headers, response.read())
        except TimeoutError as error:
            raise AgentDown(f"the agent did not answer on {self._path} in time") from error
        except PermissionError as error:
            raise AgentDown(f"no permission to talk to the agent on {self._path}") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AgentDown(f"no agent listens on {self._path}: is lvsagent running?") from error
        except (OSError, http.client.HTTPException) as error:
            raise AgentDown(f"the agent on {self._path} broke off the conversation: {error or type(error).__name__}") from error
        finally:
            connection.close()


def _query(values: Mapping[str, str | int | bool]) -> str:
    """The query string with what is not empty."""
    given = {key: int(value) if isinstance(value, bool) else _shown(str(value)) for key, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _shown(text: str) -> str:
    """A name as the agent shows it: bytes of lvs.cf that are not UTF-8 as ``\\xNN``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _encoded(value: msgspec.Struct) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        message = "there are bytes in it that are not UTF-8 text"
        raise AgentRefused("bad_request", message) from None


def _decoded(answer: _Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_success(answer).body, type=kind)
    except msgspec.MsgspecError as error:
        raise AgentDown(f"the agent's answer cannot be understood: {error}") from error


def _config_text(answer: _Answer) -> ConfigText:
    etag = answer.headers.get("ETag", "").strip('"')
    return ConfigText(answer.body.decode("utf-8", "surrogateescape"), etag, answer.headers.get("X-Exists", "1") == "1")


def _success(answer: _Answer) -> _Answer:
    """The answer itself, or the exception that its problem stands for."""
    if 200 <= answer.status < 300:
        return answer
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except msgspec.MsgspecError:
        raise AgentRefused("bad_request", f"the agent answered {answer.status}") from None
    if answer.status == 412:
        raise StaleConfig(problem.message, problem.etag)
    if answer.status == 422:
        raise InvalidConfig(problem.message, problem.diagnostics)
    if answer.status == 409 and problem.receipt is not None:
        raise (PlanGrown if problem.code == "grown" else Unconfirmed)(problem.message, problem.receipt)
    raise AgentRefused(problem.code, problem.message)
