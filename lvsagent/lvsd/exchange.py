"""One conversation with the other director: what is sent, what is believed of an answer, and what is answered to its requests.

Owns the messages and the checks on everything that comes in.  When to speak is ``sync``'s; writing lvs.cf is the director's.  Nothing is
taken but a line of revisions that ours is part of, as git takes a push.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import msgspec

from lvsagent.api.contract import Invalid, Refused, Stale
from lvsagent.core.arrival import Arrival, objection
from lvsagent.core.lineage import Relation, compare, includes, recent
from lvsagent.core.revisions import KeptRevision, Parents, Revision, ancestors, missing, parents_of
from lvsagent.core.sync import Answered, Barred, Event, NotTaken, Unreachable
from lvsagent.ports import AdapterError, Peer, PeerRefused, PeerUnreachable, RevisionStore
from lvsagent.wire import RefusalInfo
from lvsagent.wire.overrides import KeptOverride
from lvsagent.wire.peer import (
    LARGEST_MESSAGE_BYTES,
    LARGEST_TEXT_BYTES,
    LONGEST_WORD,
    MOST_IN_ONE,
    MOST_KNOWN,
    MOST_REVISIONS,
    TEXTS_BYTES,
    Answer,
    Applied,
    Diverged,
    Fetch,
    Greeting,
    Hello,
    InvalidThere,
    LetGo,
    LetGone,
    PlanHere,
    Planned,
    Push,
    RefusedThere,
    Request,
    Sent,
    SentRevision,
    Standing,
)

HELLO_S = 5.0
PUSH_S = 30.0
"""A large lvs.cf is read and applied there before the answer comes."""
PLAN_S = 1.5
"""Somebody waits for the page."""
NOT_UNDERSTOOD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a line raises; the last is for JSON that is nested too deep."""


class Home(Protocol):
    """What a conversation needs of the director."""

    def standing(self, head: str, head_etag: str) -> Standing:
        """Where this director stands; its newest revision's id and the ETag of its text are given."""
        ...

    async def take_in(self, line: Sequence[Arrival], head: str) -> list[RefusalInfo]:
        """Make the last of ``line`` our lvs.cf, on top of ``head``; the others become history.  Raises Refused: nothing was written."""
        ...

    async def keep(self, line: Sequence[Arrival]) -> None:
        """Keep revisions that are not ours to follow.  Raises AdapterError."""
        ...

    async def join(self, other: str) -> None:
        """The same text once more, as what follows on our head and on ``other``.  Raises Refused, AdapterError."""
        ...

    async def plan(self, text: bytes) -> Planned:
        """What a text would do here.  Raises Refused."""
        ...

    def overrides(self) -> list[KeptOverride]:
        """All that operators have decided about real servers, as it is known here."""
        ...

    async def take_overrides(self, sent: Sequence[KeptOverride]) -> None:
        """What the other director knows of that."""
        ...

    def let_go(self, key: str, actor: str) -> list[str]:
        """Release servers that are held here; returns their checks.  Raises Refused."""
        ...


class Exchange:
    """Both ends of the conversation."""

    def __init__(self, home: Home, store: RevisionStore) -> None:
        self._home = home
        self._store = store
        self._parents: dict[str, tuple[str, ...]] = {}
        self._newest = 0
        self.theirs: Standing | None = None
        """Where the other director stood when it last answered or asked."""

    # --- what is known -------------------------------------------------------------------------------------------------------

    def head(self) -> tuple[str, str]:
        """(id, ETag) of our newest revision; empty when there is none.  Raises AdapterError."""
        head = self._store.head()
        self._follow(head)
        return (head.revision.id, head.revision.etag) if head else ("", "")

    @property
    def parents(self) -> Parents:
        """Every revision known here; as of the last ``head()``."""
        return self._parents

    def standing(self) -> Standing:
        """Where we stand."""
        return self._home.standing(*self.head())

    def compared(self, peer_has_ours: bool | None = None) -> Answered:
        """How the other director, as it last stood, compares to us now.  Raises LookupError when it has never answered.

        ``peer_has_ours`` is its own word, if it has given it.  While its head is not known here and it has not, it counts as ahead: either
        way what it has is to be fetched.
        """
        there = self.theirs
        if there is None:
            raise LookupError("the other director has not answered yet")
        here = self.head()
        kept = there.head in ("", *self._parents)
        if not peer_has_ours:
            peer_has_ours = includes(there.head, here[0], self._parents) if kept else peer_has_ours is None
        relation = compare(
            here,
            (there.head, there.head_etag),
            peer_has_ours=peer_has_ours,
            we_have_theirs=includes(here[0], there.head, self._parents),
        )
        behind = len(missing(self._parents, here[0], ancestors(self._parents, there.head)))
        return Answered(there.head, relation, behind, kept)

    def _follow(self, head: KeptRevision | None) -> None:
        """Learn what is new in the store; a history that has begun afresh is read anew."""
        if (head.number if head else 0) < self._newest:
            self._parents, self._newest = {}, 0
        if head is None or head.revision.id in self._parents:
            return
        if not self._parents:
            self._parents = dict(self._store.parents())
        self._newest = head.number
        left = [head.revision.id]
        while left:
            each = left.pop()
            found = None if each in self._parents else self._store.by_id(each)
            if found:
                self._parents[each] = parents_of(found.revision)
                left.extend(self._parents[each])

    # --- asking --------------------------------------------------------------------------------------------------------------

    async def greet(self, peer: Peer) -> Event:
        """Compare."""
        return await self._asked(peer, Hello(standing=self.standing(), overrides=self._home.overrides()), HELLO_S)

    async def mirror(self, peer: Peer) -> bool:
        """Only what operators have decided; whether it is the same on both now."""
        answer = await self._answer(peer, Hello(standing=self.standing(), overrides=self._home.overrides()), HELLO_S)
        if isinstance(answer, Greeting):
            await self._home.take_overrides(answer.overrides)
        return isinstance(answer, Greeting)

    async def push(self, peer: Peer) -> Event:
        """Give it what it lacks, in as many messages as that takes; with the last one it follows."""
        expected = self.theirs.head if self.theirs else ""
        head, _etag = self.head()
        left = missing(self._parents, head, ancestors(self._parents, expected))
        while True:
            line, left = self._portion(left)
            push = Push(revisions=line, expected=expected, standing=self.standing(), more=bool(left))
            event = await self._asked(peer, push, PUSH_S)
            if not left or not isinstance(event, Answered) or (event.theirs, event.relation) != (expected, Relation.BEHIND):
                return event

    async def fetch(self, peer: Peer) -> Event:
        """Take what we lack, in as many messages as that takes: to follow, or on a parted line to keep."""
        known = recent(self.head()[0], self._parents, MOST_KNOWN)
        while True:
            answer = await self._answer(peer, Fetch(known=known, standing=self.standing()), PUSH_S)
            event = await self._understood(answer)
            if not isinstance(answer, Sent) or not answer.more or not isinstance(event, Answered):
                return event
            tips = _tips(answer.revisions)
            if not tips - set(known) or len(known) > MOST_REVISIONS:
                return NotTaken("the other director sends revisions again and again")
            known = [*known, *tips]

    async def join(self) -> Event:
        """One history out of two that end in the same text."""
        if self.theirs is None:
            return NotTaken("the other director has not answered yet")
        try:
            await self._home.join(self.theirs.head)
        except (Refused, AdapterError) as error:
            return NotTaken(str(error))
        return self.compared(peer_has_ours=False)

    async def plan_there(self, peer: Peer, text: bytes) -> Planned | str:
        """What a text would do there, or why that is not known."""
        answer = await self._answer(peer, PlanHere(text=text), PLAN_S)
        if isinstance(answer, Planned):
            return answer
        event = self._event(answer) if isinstance(answer, Answer) else answer
        return getattr(event, "words", "") or "the other director gave another answer"

    async def let_go_there(self, peer: Peer, key: str, actor: str) -> list[str] | str:
        """The checks whose servers were released there, or why that is not known."""
        answer = await self._answer(peer, LetGo(key=key, actor=actor), PLAN_S)
        if isinstance(answer, LetGone):
            return answer.keys
        event = self._event(answer) if isinstance(answer, Answer) else answer
        return getattr(event, "words", "") or "the other director gave another answer"

    async def _asked(self, peer: Peer, request: Request, timeout_s: float) -> Event:
        return await self._understood(await self._answer(peer, request, timeout_s))

    async def _understood(self, answer: Answer | Event) -> Event:
        """What follows from an answer, once what came with it is kept."""
        try:
            if isinstance(answer, Sent):
                return await self._received(answer)
            if isinstance(answer, Greeting):
                await self._home.take_overrides(answer.overrides)
            return self._event(answer) if isinstance(answer, Answer) else answer
        except Stale:  # its push, or somebody here, was quicker than what we fetched
            return self.compared()
        except (Refused, AdapterError) as error:  # our own history or disk
            return NotTaken(f"on this director: {error}")

    async def _answer(self, peer: Peer, request: Request, timeout_s: float) -> Answer | Event:
        try:
            async with asyncio.timeout(timeout_s):
                line = await peer.ask(msgspec.json.encode(request), timeout_s)
            if len(line) > LARGEST_MESSAGE_BYTES:
                return NotTaken("the other director's answer is too large")
            decoded: Answer = msgspec.json.decode(line, type=Answer)
            return decoded  # noqa: TRY300 -- what can fail is the decoding
        except PeerRefused as error:
            return Barred(str(error))
        except (PeerUnreachable, TimeoutError) as error:
            return Unreachable(str(error) or "it did not answer in time")
        except AdapterError as error:
            return Unreachable(str(error))
        except NOT_UNDERSTOOD as error:
            return NotTaken(f"the other director's answer cannot be understood (another version?): {error}")

    def _event(self, answer: Answer) -> Event:
        match answer:
            case Greeting(standing=standing, includes=includes_ours) | Diverged(standing=standing, includes=includes_ours):
                self.theirs = standing
                return self.compared(includes_ours)
            case Applied(standing=standing):
                self.theirs = standing
                return self.compared()
            case InvalidThere(diagnostics=diagnostics):
                first = next((one for one in diagnostics if one.severity == "error"), None)
                return NotTaken(
                    "the other director finds errors in it" + (f": line {first.line}: {first.message[:LONGEST_WORD]}" if first else "")
                )
            case RefusedThere(reason=reason):
                return NotTaken(reason[:LONGEST_WORD])
        return NotTaken("the other director gave an answer to another question")

    async def _received(self, answer: Sent) -> Event:
        self.theirs = answer.standing
        line = [_arrival(one) for one in answer.revisions]
        head, _etag = self.head()
        unknown = [one for one in line if one.revision.id not in self._parents]
        if unknown:
            if words := self._objection(line, to_follow=not answer.more):
                return NotTaken(f"on this director: what the other one sent is refused: {words}")
            if not answer.more and self._leads_from(head, line):
                await self._home.take_in(line, head)
            else:
                await self._keep(unknown)
        return self.compared(answer.includes)

    async def _keep(self, line: Sequence[Arrival]) -> None:
        """Known from now on, and not followed, or not yet."""
        await self._home.keep(line)
        self._parents.update({one.revision.id: parents_of(one.revision) for one in line})

    # --- answering -----------------------------------------------------------------------------------------------------------

    async def answer(self, line: bytes) -> bytes:
        """The answer to one request of the other director.  Never raises for anything that it sends."""
        try:
            request = msgspec.json.decode(line, type=Request)
            answer = await self._answered(request)
        except NOT_UNDERSTOOD as error:
            answer = RefusedThere(reason=f"the request cannot be understood (another version?): {error}")
        except Invalid as error:
            answer = InvalidThere(diagnostics=error.diagnostics)
        except (Refused, AdapterError) as error:
            answer = RefusedThere(reason=str(error))
        return msgspec.json.encode(answer)

    async def _answered(self, request: Request) -> Answer:
        match request:
            case Hello(standing=standing, overrides=overrides):
                self.theirs = standing
                await self._home.take_overrides(overrides)
                return Greeting(standing=self.standing(), includes=self._includes(standing.head), overrides=self._home.overrides())
            case Push():
                return await self._pushed(request)
            case Fetch(known=known, standing=standing):
                self.theirs = standing
                head, _etag = self.head()
                revisions, left = self._portion(missing(self._parents, head, ancestors(self._parents, *known)))
                return Sent(revisions=revisions, standing=self.standing(), includes=self._includes(standing.head), more=bool(left))
            case PlanHere(text=text):
                if len(text) > LARGEST_TEXT_BYTES:
                    return RefusedThere(reason=f"the text has more than {LARGEST_TEXT_BYTES // 1024 // 1024} MiB")
                return await self._home.plan(text)
            case LetGo(key=key, actor=actor):
                return LetGone(keys=[one[:LONGEST_WORD] for one in self._home.let_go(key, actor)])

    async def _pushed(self, push: Push) -> Answer:
        self.theirs = push.standing
        line = [_arrival(one) for one in push.revisions]
        head, _etag = self.head()
        if words := self._objection(line, to_follow=not push.more):
            return RefusedThere(reason=words)
        if push.more and push.expected == head:
            await self._keep([one for one in line if one.revision.id not in self._parents])
            return Greeting(standing=self.standing(), includes=self._includes(push.standing.head))
        if includes(head, line[-1].revision.id, self._parents):
            return Applied(standing=self.standing())
        if push.expected != head or not self._leads_from(head, line):
            return Diverged(standing=self.standing(), includes=self._includes(push.standing.head))
        try:
            refusals = await self._home.take_in(line, head)
        except Stale:  # somebody here was quicker: what came of that is a revision by now, or will be
            return Diverged(standing=self.standing(), includes=self._includes(push.standing.head))
        return Applied(standing=self.standing(), refusals=refusals)

    def _includes(self, theirs: str) -> bool:
        head, _etag = self.head()
        return includes(head, theirs, self._parents)

    def _objection(self, line: Sequence[Arrival], *, to_follow: bool) -> str:
        known = self._parents.__contains__
        return objection(line, known, most=MOST_REVISIONS, largest_bytes=LARGEST_TEXT_BYTES, to_follow=to_follow)

    def _leads_from(self, head: str, line: Sequence[Arrival]) -> bool:
        """Whether the last of ``line`` has our head in its history."""
        known = {**self._parents, **{one.revision.id: parents_of(one.revision) for one in line}}
        return includes(line[-1].revision.id, head, known)

    def _portion(self, ids: Sequence[str]) -> tuple[list[SentRevision], list[str]]:
        """As many of these revisions, oldest first, as one message holds (at least one), and the ids of those that are left."""
        sent: list[SentRevision] = []
        room = TEXTS_BYTES
        for number, each in enumerate(ids):
            kept = self._store.by_id(each)
            if kept is None:
                continue
            text = self._store.text(kept.revision.etag) if kept.kept else None
            room -= len(text or b"")
            if sent and (room < 0 or len(sent) == MOST_IN_ONE):
                return sent, list(ids[number:])
            sent.append(SentRevision(**asdict(kept.revision), text=text))
        return sent, []


def _tips(revisions: Sequence[SentRevision]) -> set[str]:
    """Those that no other one of them follows on."""
    followed = {parent for one in revisions for parent in (one.parent, one.other_parent)}
    return {one.id for one in revisions} - followed


def _arrival(sent: SentRevision) -> Arrival:
    fields = {name: getattr(sent, name) for name in Revision.__dataclass_fields__}
    return Arrival(Revision(**fields), sent.text)
