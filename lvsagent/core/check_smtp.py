"""An SMTP check as bytes: replies read, and what is said next.

Pure.  It sends no mail and says no more than EHLO and QUIT.
"""

from __future__ import annotations

from lvsagent.core.check_spec import shown

REPLY_MOST_BYTES = 8 * 1024
"""The longest reply that is read."""
QUIT = b"QUIT\r\n"


class NotSmtpError(Exception):
    """What came is no SMTP reply; the message says what it was."""


def smtp_reply(data: bytes) -> tuple[int, int] | None:
    """The code of the reply at the start of ``data`` and its length in bytes; None while it is not whole.  Raises NotSmtpError."""
    code = b""
    used = 0
    while True:
        end = data.find(b"\n", used)
        if end < 0:
            if len(data) > REPLY_MOST_BYTES or not _may_begin(data[used : used + 4]):
                raise NotSmtpError(f"not an SMTP reply: {shown(data[used:])}")
            return None
        line = data[used:end].rstrip(b"\r")
        if not _may_begin(line[:4]) or len(line) < 3 or (code and line[:3] != code):
            raise NotSmtpError(f"not an SMTP reply: {shown(line)}")
        code, used = line[:3], end + 1
        if line[3:4] != b"-":
            return int(code), used


def _may_begin(start: bytes) -> bool:
    """Whether a line that starts so can be one of a reply: three digits, then a blank, a dash or nothing."""
    digits, separator = start[:3], start[3:4]
    return (digits.isdigit() or not digits) and separator in (b"", b" ", b"-")


def smtp_ehlo(host: str) -> bytes:
    """How the check introduces itself."""
    return f"EHLO {host or 'localhost'}\r\n".encode("ascii", "replace")
