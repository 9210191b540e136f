"""What is remembered of every check's last results, and how lvsctl prints it."""

from __future__ import annotations

import pytest

from lvsagent.core.check_history import KEPT, CheckHistory
from lvsagent.core.check_spec import Outcome
from lvsagent.ctl_explain import explanation_text, meant
from lvsagent.wire import CheckInfo, CheckResult, Explanation


def outcome(reply: bytes = b"", *, ok: bool = True) -> Outcome:
    return Outcome(ok=ok, duration_s=0.01, reply=reply)


def test_the_last_twenty_newest_first() -> None:
    history = CheckHistory()
    for at in range(50):
        history.add("http/one", at, outcome())
    history.add("http/two", 99, outcome())
    assert [result.at for result in history.of("http/one")] == list(range(49, 29, -1))
    assert len(history.of("http/one")) == KEPT
    assert history.of("nobody") == []


def test_checks_that_are_gone_are_forgotten() -> None:
    history = CheckHistory()
    for key in ("a/1", "a/2"):
        history.add(key, 1, outcome())
    history.keep_only(["a/2"])
    assert (history.of("a/1"), len(history.of("a/2"))) == ([], 1)


def test_answers_stay_within_the_budget_and_the_newest_is_never_lost() -> None:
    history = CheckHistory(replies_bytes=10_000)
    for at in range(20):
        history.add("http/one", at, outcome(b"x" * 1024))
    assert [len(result.outcome.reply) for result in history.of("http/one")] == [1024] * 9 + [0] * 11
    for number in range(100):
        history.add(f"many/{number}", 0, outcome())
    history.add("http/one", 20, outcome(b"y" * 1024))
    assert [len(result.outcome.reply) for result in history.of("http/one")] == [1024] + [0] * 19


def info(key: str = "http/number1", target: str = "10.11.12.21:80", **fields: object) -> CheckInfo:
    return CheckInfo(**{"key": key, "target": target, "what": "connects", "state": "up", **fields})  # type: ignore[arg-type]


CHECKS = [info(), info("https/number1", "10.11.12.21:443"), info("http/number2", "[2001:db8::2]:80")]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("http/number1", ["http/number1"]),
        ("number1", ["http/number1", "https/number1"]),
        ("10.11.12.21", ["http/number1", "https/number1"]),
        ("10.11.12.21:443", ["https/number1"]),
        ("2001:db8::2", ["http/number2"]),
        ("number", []),
    ],
)
def test_a_server_is_named_by_key_name_or_address(name: str, keys: list[str]) -> None:
    assert [check.key for check in meant(name, CHECKS)] == keys


def test_an_explanation_in_words() -> None:
    check = info(state="rising", reason="answers again", held_until=2e9, warning="the certificate ends in 9 days", share_percent=75)
    results = [
        CheckResult(at=1e9, ok=True, duration_s=0.0123, connect_s=0.002, tls_s=0.004, first_byte_s=0.0005, received="HTTP/1.0 200" * 20),
        CheckResult(at=1e9, ok=False, duration_s=6, reason="no answer \x1b[31m"),
        CheckResult(at=1e9, ok=False, duration_s=0, reason="too many open files on this director", conclusive=False),
    ]
    lines = explanation_text(Explanation(check=check, results=results)).splitlines()
    assert lines[0].startswith("http/number1 (10.11.12.21:80): rising since ")
    assert lines[1] == "it connects"
    assert lines[2].startswith("held down until 2033")
    assert lines[3:5] == ["warning: the certificate ends in 9 days", "its agent wants 75% of its weight"]
    assert lines[5].split() == ["AT", "VERDICT", "TOOK", "CONNECT", "TLS", "FIRST", "BYTE", "WHY", "CAME", "BACK"]
    assert lines[6].split()[2:11] == ["passed", "12.3", "ms", "2.0", "ms", "4.0", "ms", "0.5", "ms"]
    assert lines[6].endswith("…")
    assert "failed" in lines[7]
    assert "not asked" in lines[8]
    assert all(line.isprintable() for line in lines)
    assert "no results yet" in explanation_text(Explanation(check=info(), results=[]))
    climbing = explanation_text(Explanation(check=info(), results=[], slow_start="slow start, 35% so far"))
    assert "\nnot its whole weight yet: slow start, 35% so far\n" in climbing
