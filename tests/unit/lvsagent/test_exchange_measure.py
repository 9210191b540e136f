"""What a paired director may send: nothing that it says costs more than the answer to it."""

from __future__ import annotations

import msgspec
import pytest

from lvsagent.core.sync import Answered, NotTaken
from lvsagent.ports import Peer
from lvsagent.wire.peer import LONGEST_WORD, Answer, Greeting, Hello, RefusedThere, Standing
from tests.unit.lvsagent.sync_half import Half

STANDING = Standing(node="righty", version="1", head="", head_etag="", serial=1, file="", applied="", applied_serial=1)
DEEP = b'{"type":"hello","more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


class Saying(Peer):
    """Another director that answers everything with one line."""

    def __init__(self, line: bytes) -> None:
        self.line = line

    async def ask(self, line: bytes, timeout_s: float) -> bytes:
        return self.line


def half() -> Half:
    made = Half("lefty", lambda: 1000.0)
    made.edit("serial_no = 1\n")
    return made


def with_(**fields: object) -> dict[str, object]:
    return {**msgspec.structs.asdict(STANDING), **fields}


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        b'{"type":"hello","standing":' + msgspec.json.encode(with_(node="x" * 501)) + b"}",
        b'{"type":"hello","standing":' + msgspec.json.encode(with_(table="x" * 501)) + b"}",
        b'{"type":"hello","standing":' + msgspec.json.encode(with_(serial=0)).replace(b'"serial":0', b'"serial":1' + b"0" * 30) + b"}",
    ],
    ids=["nested deep", "a long name", "a long fingerprint", "a serial without end"],
)
async def test_a_request_without_measure_is_refused_and_nothing_of_it_is_kept(line: bytes) -> None:
    ours = half()
    answer = msgspec.json.decode(await ours.exchange.answer(line), type=Answer)
    assert isinstance(answer, RefusedThere)
    assert "cannot be understood" in answer.reason
    assert len(answer.reason) < 1000
    assert ours.exchange.theirs is None


async def test_an_answer_that_is_nested_deep_is_not_taken() -> None:
    event = await half().exchange.greet(Saying(DEEP.replace(b"hello", b"greeting")))
    assert isinstance(event, NotTaken)
    assert "cannot be understood" in event.words


async def test_a_refusal_has_an_end() -> None:
    event = await half().exchange.greet(Saying(msgspec.json.encode(RefusedThere(reason="no " * 100_000))))
    assert isinstance(event, NotTaken)
    assert len(event.words) == LONGEST_WORD


async def test_where_the_other_director_stands_is_remembered() -> None:
    ours = half()
    event = await ours.exchange.greet(Saying(msgspec.json.encode(Greeting(standing=STANDING, includes=False))))
    assert isinstance(event, Answered)
    await ours.exchange.answer(msgspec.json.encode(Hello(standing=msgspec.structs.replace(STANDING, serial=2))))
    assert ours.exchange.theirs is not None
    assert ours.exchange.theirs.serial == 2
