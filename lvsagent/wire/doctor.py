"""What the doctor finds on real servers, on the agent's socket."""

from __future__ import annotations

from lvsagent.wire.base import Wire


class DoctorFinding(Wire, frozen=True):
    """A finding in words, the commands to run on that real server, and those that keep it so when it is started again.

    ``wrong`` false: only worth knowing.  ``sure``: ``seen``, ``likely`` or ``possible``.
    """

    words: str
    commands: list[str] = []
    keep: list[str] = []
    wrong: bool = True
    sure: str = "seen"


class DoctorResult(Wire, frozen=True):
    """One real server.  No findings: all that can be seen from this director is in order."""

    server: str
    address: str
    forwarding: str
    findings: list[DoctorFinding] = []


class DoctorRequest(Wire, frozen=True):
    """Look at the real servers of the virtual server of that name."""

    virtual: str
    actor: str = ""


class DoctorReport(Wire, frozen=True):
    """The last examination of a virtual server on this director.

    ``state``: ``never``, ``running``, ``done`` or ``failed`` (``failure`` says why; what was seen until then is there).  ``looked`` of
    ``total`` real servers have been looked at.  ``problems``: why others could not be.  ``in_step`` false: lvs.cf has changed since.
    ``busy``: the virtual server that is being examined now, when it is another.
    """

    virtual: str
    state: str = "never"
    began_at: float = 0.0
    ended_at: float = 0.0
    looked: int = 0
    total: int = 0
    results: list[DoctorResult] = []
    problems: list[str] = []
    failure: str = ""
    actor: str = ""
    in_step: bool = True
    busy: str = ""
