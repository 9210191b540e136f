"""What two directors tell each other when they are paired, and what may be made of it: pure text in, pure text out.

Owns the form of an introduction and of the one-time code, what is believed of one (everything is checked: it ends up in files that sshd and
ssh read), and the line that says what the other director's key may do here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

VERSION = 1
HOST_ALIAS = "lvs-peer"
"""What the other director's host key is filed under: its addresses may change, its key may not."""
COMMAND = "lvsagent-sync 1"
"""What is asked of the other director's sshd; the forced command there accepts nothing else but our rsync."""
KEY_TYPE = "ssh-ed25519"
HEARTBEAT_KEY_BYTES = 32
MOST_ADDRESSES = 8
LONGEST_NAME_BYTES = 32
LONGEST_BYTES = 8192
CODE_BYTES = 13  # 104 bits, of which twenty base32 characters hold 100
GROUPS, GROUP = 4, 5


class BadIntroduction(Exception):
    """What was received is not an introduction that can be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """One director, as it introduces itself.

    ``addresses``: where its sshd is reached, the public one first, on ``port``, as ``user``.  ``user_key`` (with which it will come) and
    ``host_key`` (by which it is known) are ``ssh-ed25519 AAAA…``.  ``heartbeat_key`` is ``b""`` when it has none.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    user: str
    user_key: str
    host_key: str
    heartbeat_key: bytes = b""


def encode(introduction: Introduction) -> bytes:
    """As it crosses from one director to the other."""
    values = {
        "piranha_pairing": VERSION,
        "name": introduction.name,
        "addresses": list(introduction.addresses),
        "port": introduction.port,
        "user": introduction.user,
        "user_key": introduction.user_key,
        "host_key": introduction.host_key,
        "heartbeat_key": introduction.heartbeat_key.hex(),
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def decode(data: bytes) -> Introduction:
    """Raises BadIntroduction for anything that is not exactly what ``encode`` makes."""
    if len(data) > LONGEST_BYTES:
        raise BadIntroduction("it is too long")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise BadIntroduction("it is not a pairing made by lvsctl pair") from None
    if not isinstance(values, dict) or values.get("piranha_pairing") != VERSION:
        raise BadIntroduction("it is not a pairing made by this version of lvsctl pair")
    return Introduction(
        name=_checked(values, "name", _name),
        addresses=_checked(values, "addresses", _addresses),
        port=_checked(values, "port", _port),
        user=_checked(values, "user", _user),
        user_key=_checked(values, "user_key", public_key),
        host_key=_checked(values, "host_key", public_key),
        heartbeat_key=_checked(values, "heartbeat_key", _heartbeat_key),
    )


def _checked(values: Mapping[str, Any], name: str, check: Callable[[Any], Any]) -> Any:
    try:
        return check(values.get(name))
    except ValueError as error:
        raise BadIntroduction(f"its {name} is not usable: {error}") from None


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value.encode("utf-8", "replace")) <= LONGEST_NAME_BYTES:
        raise ValueError(f"1 to {LONGEST_NAME_BYTES} bytes without control characters are expected")
    return value


def _addresses(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_ADDRESSES:
        raise ValueError(f"1 to {MOST_ADDRESSES} addresses are expected")
    return tuple(address(one) for one in value)


def address(value: object) -> str:
    """A canonical IP address without a zone.  Raises ValueError."""
    if not isinstance(value, str) or "%" in value:
        raise ValueError("an address is expected")
    found = ipaddress.ip_address(value)
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _port(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ValueError("a port is 1 to 65535")
    return value


def _user(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", value):
        raise ValueError("the name of a user is expected")
    return value


def public_key(value: object) -> str:
    """An ed25519 public key, ``ssh-ed25519 AAAA…``, without its comment.  Raises ValueError for any other kind and any other form."""
    words = value.split() if isinstance(value, str) else []
    if len(words) < 2 or words[0] != KEY_TYPE:
        raise ValueError(f"an {KEY_TYPE} public key is expected")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"an {KEY_TYPE} public key is expected") from None
    if len(blob) != 51 or blob[:19] != b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20":
        raise ValueError(f"an {KEY_TYPE} public key is expected")
    return f"{KEY_TYPE} {base64.b64encode(blob).decode()}"


def _heartbeat_key(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("hexadecimal text is expected")  # noqa: TRY004 -- one kind of error for all that came off the wire
    try:
        key = bytes.fromhex(value)
    except ValueError:
        raise ValueError("hexadecimal text is expected") from None
    if key and not HEARTBEAT_KEY_BYTES <= len(key) <= 2 * HEARTBEAT_KEY_BYTES:
        raise ValueError(f"{HEARTBEAT_KEY_BYTES} bytes are expected")
    return key


def fingerprint(key: str) -> str:
    """As ssh-keygen -l shows it: ``SHA256:…``."""
    return fingerprint_of(base64.b64decode(key.split()[1]))


def fingerprint_of(blob: bytes) -> str:
    """The same, of a key's binary form."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def another_host_key(address: str, found: str, pinned: str) -> str:
    """What is said when the host at ``address`` shows another key than the pinned one; both as fingerprints (``""``: not known)."""
    return (
        f"what answers at {address} is not the director that this one is paired with: its host key is {found or 'another one'}, "
        f"expected is {pinned}; nothing was sent. If its host key was changed on purpose, pair again"
    )


# --- the one-time code ---------------------------------------------------------------------------------------------------------


def code_of(random: bytes) -> str:
    """Four groups of five characters, from ``CODE_BYTES`` random bytes."""
    text = base64.b32encode(random).decode()[: GROUPS * GROUP]
    return "-".join(text[start : start + GROUP] for start in range(0, GROUPS * GROUP, GROUP))


def read_code(typed: str) -> str:
    """A code as a person typed it: small letters, blanks and missing hyphens do, as do the digits that look like letters.

    Raises ValueError in words.
    """
    text = re.sub(r"[\s-]", "", typed).upper().replace("0", "O").replace("1", "I").replace("8", "B")
    if not re.fullmatch(f"[A-Z2-7]{{{GROUPS * GROUP}}}", text):
        raise ValueError(f"a code has {GROUPS} groups of {GROUP} letters and digits, such as ABCDE-FGHIJ-KLMNO-PQRST")
    return "-".join(text[start : start + GROUP] for start in range(0, GROUPS * GROUP, GROUP))


# --- what becomes of an introduction -------------------------------------------------------------------------------------------


def authorized_line(introduction: Introduction, command: str) -> str:
    """The line of authorized_keys that lets the other director's key do one thing, from its addresses.

    ``command`` is this host's own and stands in quotes.  Raises ValueError when it cannot.
    """
    if not command.isprintable() or set(command) & set('"\\$`'):
        raise ValueError(f"{command} cannot be written into authorized_keys: it has quotes, backslashes or $ in it")
    sources = ",".join(introduction.addresses)
    return f'restrict,from="{sources}",command="{command}" {introduction.user_key} lvs-peer\n'


def known_host_line(introduction: Introduction) -> str:
    """The line of a known_hosts file that pins the other director, under a name of ours."""
    return f"{HOST_ALIAS} {introduction.host_key}\n"


def agreed_heartbeat_key(ours: bytes, theirs: bytes) -> bytes:
    """Which of two keys both directors use, whatever the order in which they learn of them; ``b""`` when neither has one."""
    present = [key for key in (ours, theirs) if key]
    return min(present) if present else b""


def merged(first: Sequence[str], then: Sequence[str]) -> tuple[str, ...]:
    """Addresses in this order, each once, not more than an introduction may hold."""
    return tuple(dict.fromkeys((*first, *then)))[:MOST_ADDRESSES]
