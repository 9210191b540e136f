"""lvs.cf of this director: what stands on the disk, and the way of a change: checked, kept in the history, written, applied.

Owns the order of those steps, the lock that keeps changes apart, and what is said of an edit that somebody made to the file itself.  What
an lvs.cf sets in motion is the director's (``Director.take_over``); how revisions are kept is ``history``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lvsagent.adapters.config_files import ConfigFilesOnDisk, Stamp, etag_of
from lvsagent.api.contract import Invalid, NotFound, Refused, Stale, Unavailable, Write
from lvsagent.core.identity import ACTIVE
from lvsagent.core.revisions import KeptRevision
from lvsagent.lvsd.configuration import Configuration, expanded, nothing, read_configuration
from lvsagent.lvsd.history import UNREADABLE, OnTheDisk, changes_of
from lvsagent.lvsd.keeper import Outcome
from lvsagent.lvsd.receipts import done_words, plan_steps, refusals
from lvsagent.lvsd.unfinished import Unfinished
from lvsagent.ports import AdapterError, ConfigFile
from lvsagent.wire import Receipt

if TYPE_CHECKING:
    from lvsagent.lvsd.director import Director

T = TypeVar("T")

log = logging.getLogger(__name__)

CHANGES_TOLD = 5


@dataclass(frozen=True, slots=True)
class OnDisk:
    """lvs.cf as last seen on the disk.  ``reason``: why what it says is not what is running (``""``: it is)."""

    etag: str
    exists: bool
    serial: int = 0
    errors: int = 0
    warnings: int = 0
    reason: str = ""


class LvsCf:
    """The director's lvs.cf.  ``begin`` before anything else; ``close`` at the end."""

    def __init__(self, director: Director, files: ConfigFilesOnDisk) -> None:
        self.files = files
        self.disk = OnDisk("", exists=False)
        self.being_written: Callable[[], bool] = lambda: False
        """Whether somebody has not done writing it: half of it may be without errors, and is not what anybody meant."""
        self.unfinished = Unfinished(files.path, director.clock, director.events)
        self._director = director
        self._stamp: Stamp | None = None
        self._writing = asyncio.Lock()
        self._keeping = asyncio.Lock()
        self._file_thread = ThreadPoolExecutor(1, "files")
        self._background: set[asyncio.Task[None]] = set()

    # --- life ----------------------------------------------------------------------------------------------------------------

    async def begin(self) -> Outcome:
        """Read lvs.cf and take it over; whatever is wrong with it, something is served and the reason is said."""
        director = self._director
        self._stamp = self.files.stamp()
        configuration = await self._first_configuration()
        if self.disk.reason:
            director.events.add("config", "error" if self.disk.errors or self.disk.exists else "warning", self.disk.reason)
        outcome = await director.take_over(configuration)
        made = await self._keep_history()
        if made is not None and made.revision.origin == "outside":
            message = f"lvs.cf was edited while the agent did not run, which is revision {made.number} now: {_line(made.changes)}"
            director.events.add("config", "info", message)
        return outcome

    async def follow(self) -> None:
        """Has anybody edited lvs.cf, and is there something that the history has not got."""
        await self.look_at_disk()
        if self._director.history.behind:
            async with self._writing:
                await self._keep_history()

    async def expand_again(self) -> None:
        """Its host names have other addresses now."""
        director = self._director
        async with self._writing:
            await director.take_over(expanded(director.running, director.names))

    async def close(self) -> None:
        """Whatever is on its way to the disk or into the history is there first."""
        if self._background:
            await asyncio.wait(self._background)
        await self._director.history.close()
        self._file_thread.shutdown()

    # --- questions and changes -----------------------------------------------------------------------------------------------

    def file(self) -> ConfigFile:
        """lvs.cf as it stands.  Raises Unavailable when it cannot be read."""
        try:
            return self.files.read()
        except AdapterError as error:
            raise Unavailable(str(error)) from error

    def previous(self) -> ConfigFile:
        """What stood there before the last accepted change.  Raises NotFound."""
        try:
            found = self.files.previous(self.file().etag)
        except AdapterError as error:
            raise Unavailable(str(error)) from error
        if found is None:
            raise NotFound("there is no earlier lvs.cf to go back to")
        return found

    async def put(self, write: Write) -> Receipt:
        """Write lvs.cf and apply it, or with ``dry_run`` say what that would do.  Raises Stale, Invalid, Unavailable."""
        began = self._director.clock.now()
        async with self._writing:
            current = self.file()
            if current.etag != write.if_match:
                raise Stale(current.etag)
            candidate = await read_configuration(_as_file(write.data), self._director.names)
            if candidate.errors:
                raise Invalid(candidate.diagnostics)
            if write.dry_run:
                receipt = await self._preview(candidate, current.etag, for_somebody=write.origin != "peer")
            else:
                await self._director.safety.check(candidate, self._director.running, write, self._preview)
                async with self._director.guard.over(candidate, current, write):
                    receipt = await self._accept(candidate, current, write)
        if write.dry_run and write.origin != "peer":
            receipt = msgspec.structs.replace(receipt, peer_plan=await self._director.both.peer_plan(write.data))
        return _timed(receipt, self._director.clock.now() - began)

    async def look_at_disk(self, *, again: bool = False) -> None:
        """Take over an edit that somebody made to the file itself, if it has no errors.

        ``again``: somebody asks for it, so even if it looks unchanged, or unfinished.
        """
        async with self._writing:
            stamp = self.files.stamp()
            unfinished = stamp != self._stamp and self.being_written()
            self.unfinished.look(unfinished=unfinished and not again)
            if not again and (stamp == self._stamp or unfinished):
                return
            self._stamp = stamp
            try:
                file = self.files.read()
            except AdapterError as error:
                self._out_of_step(replace(self.disk, reason=f"{error}; still serving serial {self._director.running.serial}"))
                return
            if not file.exists:
                if self._director.running.file.exists:
                    reason = f"{self.files.path} is gone; still serving serial {self._director.running.serial}"
                    self._out_of_step(OnDisk(file.etag, exists=False, reason=reason))
            elif file == self._director.running.file and not self._director.running.errors:
                self.disk = _on_disk(self._director.running)
            elif file.etag != self.disk.etag or again:
                await self._edited_outside(file)

    async def _first_configuration(self) -> Configuration:
        try:
            file = self.files.read()
        except AdapterError as error:
            self.disk = OnDisk("", exists=True, reason=f"{error}; serving what was applied last")
            return await self._last_good() or nothing(ConfigFile(b"", ""))
        if not file.exists:
            return await self._without_file(file)
        configuration = await read_configuration(file, self._director.names)
        self.disk = _on_disk(configuration)
        if not configuration.errors:
            return configuration
        good = await self._last_good()
        served = f"serial {good.serial}, applied last" if good else "the virtual servers without errors"
        self.disk = replace(self.disk, reason=f"{self.files.path} has errors ({_first_error(configuration)}); serving {served}")
        return good or configuration

    async def _without_file(self, file: ConfigFile) -> Configuration:
        """No lvs.cf: nothing is served.  But one that vanished while we ran takes nothing down, not even over a restart."""
        good = await self._last_good() if self._director.keeper.adopts else None
        served = f"still serving serial {good.serial}" if good else "an empty configuration is served"
        self.disk = OnDisk(file.etag, exists=False, reason=f"there is no {self.files.path}: {served}")
        return good or nothing(file)

    async def _last_good(self) -> Configuration | None:
        try:
            file = self.files.applied()
        except AdapterError as error:
            log.warning("%s", error)
            return None
        return await read_configuration(file, self._director.names) if file else None

    async def _edited_outside(self, file: ConfigFile) -> None:
        configuration = await read_configuration(file, self._director.names)
        disk = _on_disk(configuration)
        if configuration.errors:
            words = f"{self.files.path} was edited by hand and has errors ({_first_error(configuration)})"
            self._out_of_step(replace(disk, reason=f"{words}; still serving serial {self._director.running.serial}"))
            return
        before = self._director.running
        if before.file.exists:
            with contextlib.suppress(AdapterError):  # then there is no undo for this edit, and that is all
                self.files.keep_previous(before.file.data, replaced_by=file.etag)
        self.disk = disk
        await self._director.take_over(configuration)
        made = await self._keep_history()
        self._director.sync.moved()
        ours = made is None and not self._director.history.behind  # accepted, and then it was not known whether it was written
        how = "written after all" if ours else "edited outside the console"
        changes = await asyncio.to_thread(changes_of, before.config, configuration.config)
        self._director.events.add("config", "info", f"lvs.cf was {how} and applied: {_line(changes)}")

    async def _keep_history(self) -> KeptRevision | None:
        """What is on the disk becomes history, if it is not; a file with errors does not, and one that is gone neither."""
        now = self._director.running
        known = now.file.exists and not now.errors and now.file.etag == self.disk.etag
        etag = (self.disk.etag or UNREADABLE) if self.disk.exists else ""
        disk = OnTheDisk(etag, now if known else None, self.files.owner())
        return await self._director.history.follow(disk, refusals(self._director.keeper.failures, now, now, self._director.keeper.reason))

    async def _keep_what_stands(self, file: ConfigFile) -> None:
        """An edit by hand that nobody has looked at yet, and that is about to be replaced."""
        if not file.exists or file.etag == self._director.history.head_etag:
            return
        if file == self._director.running.file:
            await self._keep_history()
        else:
            found = await read_configuration(file, self._director.names)
            if not found.errors:
                await self._director.history.overtaken(OnTheDisk(file.etag, found, self.files.owner()))

    def _out_of_step(self, disk: OnDisk) -> None:
        if disk != self.disk:
            self.disk = disk
            self._director.events.add("config", "error", disk.reason)

    async def _preview(self, candidate: Configuration, etag: str, *, for_somebody: bool = True) -> Receipt:
        """``for_somebody``: who is shown the plan may come back with it, so it is remembered.  The other director does not."""
        sides = self._director.book.sides_for(candidate.expansion.checks)
        try:
            operations, have = await self._director.keeper.preview(candidate.expansion, sides)
        except (AdapterError, OSError) as error:
            raise Unavailable(f"the data plane cannot be read: {error}") from error
        return Receipt(
            etag=etag,
            serial=candidate.serial,
            dry_run=True,
            written=False,
            applied=False,
            steps=plan_steps(operations, have, self._director.running, candidate, sides),
            refusals=refusals({}, candidate, self._director.running, self._director.keeper.reason),
            diagnostics=list(candidate.diagnostics),
            plan=self._director.safety.show(operations, have, self._director.running, candidate) if for_somebody else "",
            takes_out=self._director.safety.takes_out(self._director.running, candidate),
        )

    async def _accept(self, candidate: Configuration, current: ConfigFile, write: Write) -> Receipt:
        before = self._director.running
        written = not current.exists or candidate.file.etag != current.etag
        made = await self._replace(candidate, current, write) if written or write.revision or write.other_parent else None
        self._stamp = None  # the next look reads it anew: an editor may come while the other director is waited for
        behind, self._director.history.behind = self._director.history.behind, True  # if this ends in the middle, a round notes the rest
        self._director.way.use(candidate)
        peer = await self._director.sync.accepted(wait=self._director.pulse.last_role == ACTIVE) if made else None
        self.disk = _on_disk(candidate)
        outcome = await self._director.take_over(candidate)
        self._director.history.behind = behind
        refused = refusals(self._director.keeper.failures, candidate, before, self._director.keeper.reason)
        refused += self._director.marks.refusals()
        if made is None:
            await self._keep_history()
        else:
            self._in_background(self._director.history.ended(made, refused, done_words(outcome.operations, outcome.before)))
            told = _line(made.changes)
            comment = f" ({write.comment})" if write.comment not in told else ""
            how = f"taken from the other director, where it was accepted on {write.revision.node}" if write.revision else "accepted"
            message = f"lvs.cf {how}, serial {candidate.serial}: {told}{comment}"
            self._director.events.add("config", "info", message, actor=write.actor)
        return Receipt(
            etag=candidate.file.etag,
            serial=candidate.serial,
            dry_run=False,
            written=written,
            applied=not refused,
            steps=plan_steps(outcome.operations, outcome.before, before, candidate, self._director.book.sides),
            refusals=refused,
            diagnostics=list(candidate.diagnostics),
            previous_etag=current.etag if written and current.exists else "",
            revision=made.number if made else 0,
            peer=self._director.sync.receipt(peer.waited_s) if peer else None,
        )

    async def _replace(self, candidate: Configuration, current: ConfigFile, write: Write) -> KeptRevision:
        """The revision first, then the file: see ``lvsagent.lvsd.history``."""
        await self._keep_what_stands(current)
        changes = await asyncio.to_thread(changes_of, self._director.running.config, candidate.config)
        made = await self._director.history.begin(candidate, changes, write)
        try:
            await self.in_file_thread(self._write, write)
        except Refused as error:
            with contextlib.suppress(Unavailable):  # it cannot even be read: the next round sees what is there
                if self.file().etag != candidate.file.etag:
                    await self._director.history.never_written(str(error))
            raise
        return made

    def _write(self, write: Write) -> None:
        """In a thread.  The file is looked at once more: reading a large text takes time, and an editor may have been quicker."""
        try:
            etag = self.files.read().etag
            if etag != write.if_match:
                raise Stale(etag)
            self.files.write(write.data)
        except AdapterError as error:
            raise Unavailable(str(error)) from error

    def keep_applied(self, file: ConfigFile) -> None:
        """Remember what was taken over, for the next start.  Nobody waits for it."""
        self._in_background(self._keep_applied(file))

    async def _keep_applied(self, file: ConfigFile) -> None:
        async with self._keeping:
            if file != self._director.running.file:
                return  # a newer one is on its way
            try:
                await self.in_file_thread(self.files.keep_applied, file)
            except AdapterError as error:
                log.warning("%s", error)

    async def in_file_thread(self, work: Callable[[T], None], argument: T) -> None:
        """Off the loop, and never behind a name server that is slow to answer."""
        await asyncio.get_running_loop().run_in_executor(self._file_thread, work, argument)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _timed(receipt: Receipt, duration_s: float) -> Receipt:
    """The receipt with the time the whole request took."""
    return msgspec.structs.replace(receipt, duration_s=duration_s)


def _as_file(data: bytes) -> ConfigFile:
    return ConfigFile(data, etag_of(data))


def _on_disk(configuration: Configuration) -> OnDisk:
    file = configuration.file
    return OnDisk(file.etag, file.exists, configuration.serial, configuration.errors, configuration.warnings)


def _first_error(configuration: Configuration) -> str:
    first = next((one for one in configuration.diagnostics if one.severity == "error"), None)
    more = f" and {configuration.errors - 1} more" if configuration.errors > 1 else ""
    return f"line {first.line}: {first.message}{more}" if first else ""


def _line(changes: Sequence[str]) -> str:
    """What changed, in a line."""
    told = "; ".join(changes[:CHANGES_TOLD])
    return (
        f"{told} and {len(changes) - CHANGES_TOLD} more" if len(changes) > CHANGES_TOLD else told or "nothing that matters to the daemons"
    )
