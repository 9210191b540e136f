"""What may be typed into a field: from a value of lvs.cf to the text shown, and back, with the reason in words when it cannot be.

Pure: no form, no request, no file.  A kind says no by raising Rejected, whose message is meant for the person who typed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from app.lvscf.model import NO_ADDRESS


class Rejected(ValueError):
    """What was typed cannot be used; the message says why, in the user's words."""


class Kind(Protocol):
    """One kind of value: how it is shown and how it is read from what was typed."""

    def show(self, value: Any) -> str: ...

    def parse(self, text: str) -> Any:
        """Raises Rejected."""
        ...


def legible(text: str) -> str:
    """``text`` with each byte that is not UTF-8 as ``\\xNN``, as the agent says it too."""
    return re.sub("[\ud800-\udfff]", lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def readable(text: str) -> str:
    """``text`` as a page and a one-line field can carry it: legible, and without line ends."""
    return legible(text).replace("\r", "").replace("\n", "").replace("\0", "\ufffd")


@dataclass(frozen=True)
class Number:
    """A whole number from ``low`` to ``high``.  ``blank``: what an empty field means (``required``: nothing, it must be filled)."""

    low: int = 0
    high: int = 2**31 - 1
    what: str = "number"
    required: bool = True
    blank: int | None = None
    show_blank: bool = True

    def show(self, value: int | None) -> str:
        return "" if value is None or (not self.required and self.show_blank and value == self.blank) else str(value)

    def parse(self, text: str) -> int | None:
        text = text.strip()
        if not text:
            if self.required:
                raise Rejected(f"A {self.what} is needed here.")
            return self.blank
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII):
            raise Rejected(f"{text} is not a {self.what}: only digits, from {self.low} to {self.high}.")
        number = int(text)
        if number < self.low:
            raise Rejected(f"{text} is too small: the least is {self.low}.")
        if number > self.high:
            raise Rejected(f"{text} is too large: a {self.what} goes up to {self.high}.")
        return number


@dataclass(frozen=True)
class Seconds:
    """A duration that may have decimals (``0.1``), more than ``above`` seconds.  ``blank``: what an empty field means, if anything."""

    above: float = 0.0
    high: float = 86400.0
    blank: float | None = None

    def show(self, value: float) -> str:
        return "" if value == self.blank else f"{value:.10g}"

    def parse(self, text: str) -> float:
        text = text.strip()
        if not text:
            if self.blank is not None:
                return self.blank
            raise Rejected("A number of seconds is needed here.")
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text, re.ASCII):
            raise Rejected(f"{text} is not a number of seconds: digits with a decimal point, such as 6 or 0.5.")
        seconds = float(text)
        if seconds <= self.above:
            raise Rejected(f"{text} is too short: it must be more than {self.above:g}.")
        if seconds > self.high:
            raise Rejected(f"{text} is too long: at most {self.high:g} seconds.")
        return int(seconds) if seconds == int(seconds) else seconds


def address(text: str) -> str:
    """``text`` as an IPv4 or IPv6 address in its usual form.  Raises Rejected with what is wrong with it."""
    if ":" in text:
        return _ipv6(text)
    parts = text.split(".")
    if len(parts) != 4:
        raise Rejected(f"{text} is not an address: an IPv4 address has four numbers with dots between them, such as 192.0.2.10.")
    for part in parts:
        if not re.fullmatch(r"[0-9]+", part, re.ASCII):
            raise Rejected(f"{text} is not an address: {_quoted(part)} is not a number from 0 to 255.")
        if int(part) > 255:
            raise Rejected(f"{text} is not an address: each part goes up to 255.")
        if len(part) > 1 and part.startswith("0"):
            raise Rejected(f"{text} is not an address: write {int(part)}, not {part} (a leading 0 means octal to some programs).")
    return text


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise Rejected(f"{text} is not an address: an IPv6 address has groups of up to four hex digits, such as 2001:db8::10.") from None


def _quoted(part: str) -> str:
    return f'"{part}"' if part else "an empty part"


HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?", re.ASCII)


@dataclass(frozen=True)
class Host:
    """An address or, with ``names``, a host name that this director can resolve.  ``blank``: what an empty field means."""

    names: bool = True
    required: bool = True
    blank: str | None = None

    def show(self, value: str | None) -> str:
        return "" if value in (None, NO_ADDRESS, self.blank) else value or ""

    def parse(self, text: str) -> str | None:
        text = text.strip()
        if text in ("", NO_ADDRESS):
            if self.required:
                raise Rejected("An address is needed here." if not text else '0.0.0.0 means "no address"; one is needed here.')
            return self.blank
        if "/" in text:
            raise Rejected(f"{text} is not an address: the mask has its own field, leave out {text[text.index('/') :]}.")
        if self.names and re.search(r"[A-Za-z]", text) and ":" not in text:
            return self._name(text)
        return address(text)

    @staticmethod
    def _name(text: str) -> str:
        if not HOST_NAME.fullmatch(text):
            raise Rejected(f"{text} is neither an address nor a host name: a name has letters, digits, dashes and dots.")
        return text


MASKS = tuple(str(ipaddress.IPv4Network(f"0.0.0.0/{bits}").netmask) for bits in range(32, 7, -1))


@dataclass(frozen=True)
class Mask:
    """A netmask in dotted form; an empty field means ``0.0.0.0``, "choose for me"."""

    def show(self, value: str) -> str:
        return "" if value == NO_ADDRESS else value

    def parse(self, text: str) -> str:
        text = text.strip()
        if text in ("", NO_ADDRESS):
            return NO_ADDRESS
        if re.fullmatch(r"/?[0-9]{1,2}", text, re.ASCII):
            bits = int(text.lstrip("/"))
            hint = f": write {ipaddress.IPv4Network(f'0.0.0.0/{bits}').netmask}" if 0 < bits <= 32 else ""
            raise Rejected(f"{text} is a prefix length; lvs.cf wants the mask in dotted form{hint}.")
        try:
            address(text)
        except Rejected as error:
            raise Rejected(str(error).replace("an address", "a mask")) from None
        if ":" in text:
            raise Rejected(f"{text} is not a mask: four numbers with dots between them, such as 255.255.255.0.")
        bits = int(ipaddress.IPv4Address(text))
        inverted = bits ^ 0xFFFFFFFF
        if inverted & (inverted + 1):
            raise Rejected(f"{text} is not a mask: it has holes. Its ones must come first, as in 255.255.255.0.")
        return text


DEVICE = re.compile(r"[^\s/:\"'{}#]{1,15}(:[^\s/\"'{}#]{1,15})?")


@dataclass(frozen=True)
class Device:
    """An interface, usually with an alias (``eth1:1``)."""

    required: bool = False

    def show(self, value: str | None) -> str:
        return value or ""

    def parse(self, text: str) -> str:
        text = text.strip()
        if not text:
            if self.required:
                raise Rejected("An interface is needed here, such as eth1:1.")
            return ""
        if re.search(r"\s", text):
            raise Rejected(f"{text} is not an interface: it has a blank in it.")
        if not DEVICE.fullmatch(text):
            raise Rejected(f"{text} is not an interface: a name of at most 15 characters, and an alias after a colon, such as eth1:1.")
        if len(text) > 15:
            raise Rejected(f"{text} is too long: the kernel keeps 15 characters of an address's label.")
        return text


@dataclass(frozen=True)
class Line:
    """One line of text, at most ``limit`` bytes.  Blank means ``None`` or, with ``required``, is refused."""

    what: str = "text"
    limit: int = 255
    required: bool = False
    strip: bool = False
    quotes: str = "\"'"

    def show(self, value: str | None) -> str:
        return value or ""

    def parse(self, text: str) -> str | None:
        text = text.strip() if self.strip else text
        if not text:
            if self.required:
                raise Rejected(f"A {self.what} is needed here.")
            return None
        if control := re.search("[\0-\x08\x0a-\x1f\x7f\u2028\u2029\x85]", text):
            raise Rejected(f"A {self.what} is one line of text: it holds the control character {ord(control[0]):#04x}.")
        if (size := len(text.encode("utf-8", "surrogatepass"))) > self.limit:
            raise Rejected(f"This {self.what} has {size} bytes: at most {self.limit} are kept.")
        if all(quote in text for quote in self.quotes):
            raise Rejected(self._why_no_quotes())
        return text

    def _why_no_quotes(self) -> str:
        if len(self.quotes) == 1:
            return f"A {self.what} cannot hold {self.quotes}: lvs.cf has no way to write it inside quotes."
        return f"A {self.what} can hold \" or ' but not both: lvs.cf has no way to write that."


@dataclass(frozen=True)
class Choice:
    """One of a few words; ``enum`` makes the value.  ``refused``: words that may stand in the file but not be chosen, with why."""

    options: tuple[tuple[str, str], ...]
    enum: type[StrEnum] | None = None
    refused: tuple[tuple[str, str], ...] = ()

    def show(self, value: str) -> str:
        return str(value)

    def parse(self, text: str) -> str:
        for word, why in self.refused:
            if text == word:
                raise Rejected(why)
        known = [word for word, _ in self.options]
        if text not in known:
            raise Rejected(f"{text or 'Nothing'} is not one of the choices: {', '.join(known)}.")
        return self.enum(text) if self.enum else text

    def offered(self, current: str) -> Iterable[tuple[str, str]]:
        """The choices, and ``current`` too when the file holds another word."""
        words = dict(self.options)
        return self.options if current in words else ((current, f"{current} (as in the file)"), *self.options)


@dataclass(frozen=True)
class ChoiceOrNone(Choice):
    """One of a few words or none: the option ``""`` means ``None``."""

    def show(self, value: str | None) -> str:
        return "" if value is None else str(value)

    def parse(self, text: str) -> Any:
        return super().parse(text) if text else None


@dataclass(frozen=True)
class Flag:
    """Yes or no; ``"1"`` or ``""`` as text.  ``number``: the keyword is a number, 1 for yes."""

    number: bool = False

    def show(self, value: Any) -> str:
        return "1" if value else ""

    def parse(self, text: str) -> bool | int:
        return int(bool(text)) if self.number else bool(text)
