r"""HTTP checks: lvs.cf's send and expect on one side, a path, a host, status codes and a pattern on the other.

Owns both directions, so that what was read is written back as it was.  ``GET /x HTTP/1.0`` with an expected status is::

    send = "GET /x HTTP/1.0\r\nHost: www.example.com\r\n\r\n"        expect = "HTTP/1.* 200"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.lvscf.escapes import decode_escapes
from app.lvscf.posix_regex import BadPatternError, translate
from app.lvscf.values import TEXT_LIMIT_BYTES

ANY = (100, 599)
GOOD = (200, 299)
CODES_LISTED = 30
Codes = tuple[tuple[int, int], ...]

_SEND = re.compile(r"GET (?P<path>[^ \\]+) HTTP/1\.0\\r\\n(?:Host: (?P<host>[^ \\]+)\\r\\n)?\\r\\n")
_PREFIX = re.compile(r"HTTP/1\.\* (?P<code>[1-5](?:[0-9]{2})?)")
_PATTERN = re.compile(r"\^HTTP/1\[\.\]\. \((?P<codes>[0-9|\[\]-]+)\)(?:\.\*\((?P<body>.+)\))?")
_ALTERNATIVE = re.compile(r"(?P<any>\[1-5\]\[0-9\]\[0-9\])|(?P<hundred>[1-5])\[0-9\]\[0-9\]|(?P<code>[1-5][0-9]{2})")
_FOREIGN = re.compile(r"\\[^wWsSbB.\[\](){}*+?|^$/-]|\(\?|[*+?}][?+]")
"""What Perl and POSIX read in different ways."""
_START = re.compile(r"(?<![\[\\])\^")
"""The start of the text: of the body for others, of the status line for send and expect."""
_WORD = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """What an HTTP check asks for and accepts.  ``body``: a POSIX extended regular expression that the answer must match (``""``: none)."""

    path: str = "/"
    host: str = ""
    codes: Codes = (GOOD,)
    body: str = ""


def to_send_expect(check: HttpCheck) -> dict[str, object] | None:
    """``send``, ``expect`` and ``use_regex`` for it; ``None`` when lvs.cf cannot say it."""
    words = [word for word in (check.path, check.host) if word]
    if not all(_WORD.fullmatch(word) and "\\" not in word for word in words):
        return None
    host = f"Host: {check.host}\\r\\n" if check.host else ""
    send = f"GET {check.path} HTTP/1.0\\r\\n{host}\\r\\n"
    prefix = _prefix(check.codes)
    if prefix and not check.body:
        return {"send": send, "expect": prefix}
    codes = _alternatives(check.codes)
    pattern = f"^HTTP/1[.]. ({codes})" + (f".*({check.body})" if check.body else "")
    if not codes or not is_pattern(pattern) or (check.body and (not is_portable(check.body) or _START.search(check.body))):
        return None
    return {"send": send, "expect": pattern, "use_regex": True}


def from_send_expect(send: str, expect: str, *, use_regex: bool) -> HttpCheck | None:
    """The HTTP check that these two make; ``None`` when they make none."""
    asked = _SEND.fullmatch(send)
    if asked is None:
        return None
    path, host = asked["path"], asked["host"] or ""
    if not use_regex:
        codes = _codes_of_prefix(expect)
        return HttpCheck(path, host, codes) if codes else None
    pattern = _PATTERN.fullmatch(expect)
    codes = _codes_of_pattern(pattern["codes"]) if pattern else ()
    if pattern is None or not codes or _START.search(pattern["body"] or ""):
        return None
    return HttpCheck(path, host, codes, pattern["body"] or "")


def is_portable(text: str) -> bool:
    """Whether a Perl-like pattern means the same as a POSIX one; where that is not sure it is not."""
    return is_pattern(text) and _FOREIGN.search(text) is None


def is_pattern(text: str) -> bool:
    """Whether it is a POSIX extended regular expression that lvs.cf can hold."""
    if len(text.encode("utf-8", "surrogateescape")) > TEXT_LIMIT_BYTES:
        return False
    try:
        translate(decode_escapes(text))
    except BadPatternError:
        return False
    return "\n" not in text and "\0" not in text


def codes_of(text: str) -> Codes:
    """``200 301-302`` or ``200,301-302`` as ranges; empty when it is neither."""
    found: list[tuple[int, int]] = []
    for word in text.replace(",", " ").split():
        match = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", word)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return ()
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)


def codes_text(codes: Codes, separator: str) -> str:
    """The opposite of ``codes_of``."""
    return separator.join(str(low) if low == high else f"{low}-{high}" for low, high in codes)


def _prefix(codes: Codes) -> str:
    if codes == (ANY,):
        return "HTTP"
    if len(codes) != 1:
        return ""
    [(low, high)] = codes
    if low == high:
        return f"HTTP/1.* {low}"
    return f"HTTP/1.* {low // 100}" if low % 100 == 0 and high == low + 99 else ""


def _codes_of_prefix(expect: str) -> Codes:
    if expect in {"HTTP", "HTTP/", "HTTP/1", "HTTP/1."}:
        return (ANY,)
    found = _PREFIX.fullmatch(expect)
    if found is None:
        return ()
    code = int(found["code"])
    return ((code * 100, code * 100 + 99),) if code < 10 else ((code, code),)


def _alternatives(codes: Codes) -> str:
    """As a regular expression's alternatives; ``""`` when there would be too many."""
    if codes == (ANY,):
        return "[1-5][0-9][0-9]"
    words: list[str] = []
    for low, high in codes:
        at = low
        while at <= high and len(words) <= CODES_LISTED:
            whole = at % 100 == 0 and at + 99 <= high
            words.append(f"{at // 100}[0-9][0-9]" if whole else str(at))
            at += 100 if whole else 1
    return "|".join(words) if len(words) <= CODES_LISTED else ""


def _codes_of_pattern(text: str) -> Codes:
    found: list[tuple[int, int]] = []
    for word in text.split("|"):
        match = _ALTERNATIVE.fullmatch(word)
        if match is None:
            return ()
        if match["any"]:
            found.append(ANY)
        elif match["hundred"]:
            found.append((int(match["hundred"]) * 100, int(match["hundred"]) * 100 + 99))
        else:
            found.append((int(match["code"]), int(match["code"])))
    return _merged(found)


def _merged(codes: list[tuple[int, int]]) -> Codes:
    """Neighbouring ranges as one, so that 301|302|303 reads 301-303."""
    merged: list[tuple[int, int]] = []
    for low, high in codes:
        if merged and merged[-1][1] + 1 == low:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return tuple(merged)
