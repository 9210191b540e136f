"""Whether an answer is the expected one, as far as it has come.

Pure.  The verdict on a stream depends on its bytes alone, never on how they were cut into segments.
"""

from __future__ import annotations

ANSWER_LIMIT_BYTES = 4096
"""How much of an answer is looked at."""
REPLY_LIMIT_BYTES = 1024
"""How much of it is kept to be shown."""
_ANY = ord("*")


def prefix_verdict(expect: bytes, answer: bytes) -> bool | None:
    """Whether ``answer`` begins with ``expect``, where ``*`` stands for any byte; None while more of it is needed to tell."""
    compared = zip(expect, answer, strict=False)
    if any(wanted not in (_ANY, got) for wanted, got in compared):
        return False
    return True if len(answer) >= len(expect) else None


def output_matches(expect: bytes, output: bytes) -> bool:
    """Whether a program printed exactly ``expect``, one line end at the very end not counted."""
    return output == expect or output.removesuffix(b"\n") == expect
