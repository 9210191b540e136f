"""What decides about the role besides the other director's words: links, the other processes, the feed of connections.

Owns what is known of them and tells the machine when it changes.
"""

from __future__ import annotations

from collections.abc import Callable

from lvsagent.core.failover import ChildrenChanged, Event, FeedReady, LinksChanged
from lvsagent.messages import PulseConfigure, PulseHealth
from lvsagent.ports import AdapterError
from lvsagent.pulse.surroundings import Surroundings

UNATTENDED_S = 20.0
"""Without lvsd for so long, this director cannot be kept up."""


class Watch:
    """``drive`` passes an event to the machine."""

    def __init__(self, around: Surroundings, drive: Callable[[Event], None]) -> None:
        self.health: PulseHealth | None = None
        self.fit = True
        self.problem = ""
        self._around = around
        self._drive = drive
        self._why_unfit = ""
        self._links: dict[str, bool] = {}
        self._watched: tuple[str, ...] | None = None
        self._ready = False
        self._attended_at = around.clock.now()

    async def links(self, configure: PulseConfigure | None) -> None:
        """Watch the links that lvs.cf wants watched; one that breaks later is told at once."""
        wanted = tuple(configure.watched) if configure and configure.monitor_links else ()
        if wanted == (self._watched or ()):
            return
        self._around.link_events.close()
        self._links, self._watched = {}, None
        if wanted:
            try:
                await self._around.link_events.watch(wanted, self._link_changed)
            except AdapterError as error:
                self.problem = str(error)
                return
        self._watched, self.problem = wanted, ""
        if not wanted:
            self._drive(LinksChanged(whole=True))

    def children(self) -> None:
        """Whether lvsd is there and has a data plane that can serve."""
        now = self._around.clock.now()
        if self._around.attended():
            self._attended_at = now
        why = ""
        if now - self._attended_at >= UNATTENDED_S:
            why = f"lvsd has been away for {UNATTENDED_S:g} s"
        elif self.health is not None and not self.health.fit:
            why = "the data plane is not available"
        if why != self._why_unfit:
            self._why_unfit, self.fit = why, not why
            self._drive(ChildrenChanged(not why, why))

    def feed(self, *, synced: bool, peer_alive: bool) -> None:
        """The role may be given back once connections come in (``synced``: or need not) and every check has run."""
        ready = synced and peer_alive and self.health is not None and self.health.checks_done
        if ready != self._ready:
            self._ready = ready
            self._drive(FeedReady(ready))

    def _link_changed(self, interface: str, whole: bool) -> None:
        self._links[interface] = whole
        broken = [name for name, is_whole in self._links.items() if not is_whole]
        self._drive(LinksChanged(not broken, f"{', '.join(broken)} has no link" if broken else ""))
