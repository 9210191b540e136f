"""What operators decide about real servers, as the fake agent has it: the real machine over targets in memory."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from app.lvscf.model import Config
from lvsagent.client import AgentRefused
from lvsagent.core.overrides import Action, Answer, Decide, Event, Look, Overrides, Then, estimate_s, of_host, of_server, why_not
from lvsagent.lvsd.override_words import NOTHING, Left, override_info, shown_state
from lvsagent.wire import OverrideInfo, OverrideRequest, OverridesInfo, RealServerState


class FakeOverrides:
    """``left``: connections and templates by target; a test sets them, and ``look`` is a round of lvsd's."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._machine = Overrides("lefty")
        self.left: dict[str, Left] = {}
        self.warnings: list[str] = []
        """What the next decisions lead to."""

    def infos(self) -> OverridesInfo:
        newest = sorted(self._machine.orders.by_target.values(), key=lambda one: (-one.at, -one.counter))
        return OverridesInfo(overrides=[override_info(one, self.left.get(one.target, NOTHING), None) for one in newest])

    def act(self, request: OverrideRequest, config: Config) -> OverridesInfo:
        target = self._target(request, config)
        event: Event
        if request.action in {"wait", "cut"}:
            event = Answer(target, Then(request.action), request.actor)
        else:
            event = self._decision(request, target)
        commands = self._machine.handle(event, self._wall())
        if isinstance(event, Answer) and not commands:
            raise AgentRefused("not_found", "nothing is being drained there that could wait or be cut")
        return replace(self.infos(), warnings=self.warnings)

    def look(self) -> None:
        self._machine.handle(Look({target: sum(left) for target, left in self.left.items()}), self._wall())

    def of(self, virtual: str, server: str, address: str) -> OverrideInfo | None:
        one = self._machine.orders.of(f"{virtual}/{server}", address)
        return override_info(one, self.left.get(one.target, NOTHING), estimate_s([])) if one else None

    def shown(self, virtual: str, real: RealServerState) -> dict[str, object]:
        """What changes in a real server's state."""
        order = self.of(virtual, real.name, real.address) if real.state != "inactive" else None
        if order is None:
            return {}
        weights = {"drain": 0, "down": None, "up": real.configured_weight, "weight": order.weight}
        weight = None if order.phase == "cut" else weights[order.action]
        return {"order": order, "state": shown_state(order, real.state), "weight": weight, "reason": order.words}

    def _decision(self, request: OverrideRequest, target: str) -> Decide:
        try:
            action, then = Action(request.action), Then(request.then)
        except ValueError as error:
            raise AgentRefused("bad_request", f"action is none of {request.action}") from error
        event = Decide(target, action, request.actor, request.reason, request.weight, request.deadline_s, then, request.return_at)
        if words := why_not(event, self._wall()):
            raise AgentRefused("bad_request", words)
        return event

    def _target(self, request: OverrideRequest, config: Config) -> str:
        if bool(request.host) is bool(request.virtual or request.server):
            raise AgentRefused("bad_request", "say either which real server of which virtual server is meant, or the address of a host")
        target = of_host(request.host) if request.host else of_server(f"{request.virtual}/{request.server}")
        active = [(virtual.name, server) for virtual in config.virtual for server in virtual.servers if virtual.active and server.active]
        known = {of_host(server.address) for _, server in active} | {of_server(f"{name}/{server.name}") for name, server in active}
        if target not in known | self._machine.orders.by_target.keys():
            what = f"at {request.host}" if request.host else f"{request.server} of {request.virtual}"
            raise AgentRefused("not_found", f"there is no active real server {what}")
        return target
