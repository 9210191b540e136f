"""MONITORING SCRIPTS' fields that Piranha did not have: the kind of check, and how sure one wants to be.

Owns labels, choices and what each kind cannot do without.  What a value may be is lvs.cf's own rule (``app.lvscf``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.forms.base import About, Setting
from app.forms.values import Choice, Flag, Kind, Number, Rejected, Seconds
from app.lvscf.keywords import BY_LEVEL, Level
from app.lvscf.model import CheckKind, DnsRecord
from app.lvscf.values import interpret, value_words

KINDS = (
    (CheckKind.AUTO.value, "As in Piranha"),
    (CheckKind.CONNECT.value, "Connect only"),
    (CheckKind.HTTP.value, "HTTP"),
    (CheckKind.HTTPS.value, "HTTPS"),
    (CheckKind.TLS.value, "TLS, then Send and Expect if given"),
    (CheckKind.SMTP.value, "SMTP"),
    (CheckKind.DNS.value, "DNS"),
    (CheckKind.PING.value, "Ping"),
    (CheckKind.UDP.value, "UDP, Send and Expect"),
    (CheckKind.PROGRAM.value, "Sending Program"),
    (CheckKind.AGENT.value, "The server’s own agent (up, down, drain, 75%)"),
)
RECORDS = tuple((record.value, record.value) for record in DnsRecord)
TRIED = ("check", "check_port", "check_path", "check_host", "check_status", "check_record", "check_verify", "check_cert_days")
"""The keywords that TEST NOW tries as typed, besides Piranha's four."""
FIELDS = ("kind", *TRIED[1:])
"""Their fields."""


@dataclass(frozen=True)
class Written:
    """A string as lvs.cf's keyword of that name allows it; blank means that there is none."""

    keyword: str

    def show(self, value: str | None) -> str:
        return value or ""

    def parse(self, text: str) -> str | None:
        """Raises Rejected, in the words of lvs.cf's own diagnostics."""
        text = text.strip()
        if not text:
            return None
        reading = interpret(BY_LEVEL[Level.BLOCK][self.keyword], [text])
        if not reading.used:
            words = reading.problems[-1].message
            raise Rejected(f"{words[0].upper()}{words[1:]}.")
        return str(reading.value)


def written(values: object) -> dict[str, str]:
    """The keywords of ``TRIED`` as lvs.cf would write a block's values of them; an absent one is empty."""
    found = {}
    for name in TRIED:
        value = getattr(values, name)
        found[name] = "" if value is None else value_words(BY_LEVEL[Level.BLOCK][name], value)[0]
    return found


def _setting(label: str, kind: Kind, keyword: str, words: str, *, unit: str = "", control: str = "text") -> Setting:
    return Setting(label, kind, About(keyword=keyword, help=words, unit=unit, control=control))


def kind_of_check() -> Setting:
    """Which kind of check; the field cannot be named after its keyword, since every form has a method ``check``."""
    return Setting(
        "Kind of check",
        Choice(KINDS, CheckKind),
        About(
            keyword="check",
            help="As in Piranha: what Send, Expect and Sending Program say. The other kinds ask what they are named after.",
            control="select",
            read=lambda block: block.check,
            put=lambda block, kind: replace(block, check=kind),
        ),
    )


def check_port() -> Setting:
    """Another port than the service's."""
    words = "Another port than the real server’s own. Blank: its own."
    return _setting("Port to check", Number(0, 65535, "port", required=False, blank=0), "check_port", words)


def check_path() -> Setting:
    """HTTP's path."""
    return _setting("Path", Written("check_path"), "check_path", "HTTP and HTTPS: what is asked for. Blank: /.")


def check_host() -> Setting:
    """The name asked for."""
    return _setting("Host name", Written("check_host"), "check_host", "HTTP’s Host, TLS’s server name, the name of a DNS query.")


def check_status() -> Setting:
    """HTTP's status codes."""
    words = "HTTP and HTTPS: such as 200-299,301. Blank: 200-399."
    return _setting("Accepted status codes", Written("check_status"), "check_status", words)


def check_record() -> Setting:
    """DNS's record type."""
    return _setting("Record type", Choice(RECORDS, DnsRecord), "check_record", "DNS: what is asked for.", control="select")


def check_verify() -> Setting:
    """Whether a certificate must be valid."""
    words = "HTTPS and TLS: only one that this director trusts passes."
    return _setting("Verify the certificate", Flag(), "check_verify", words, control="checkbox")


def check_cert_days() -> Setting:
    """When to warn of a certificate's end."""
    words = "HTTPS and TLS: a warning, which takes no server out. 0: never."
    return _setting("Warn before the certificate ends", Number(0, 3650, "number of days"), "check_cert_days", words, unit="days")


def check_interval() -> Setting:
    """How often."""
    words = "Between two checks. Blank: the Service Timeout."
    return _setting("Interval", Seconds(blank=0), "check_interval", words, unit="s")


def check_timeout() -> Setting:
    """How long one may take."""
    return _setting("Time limit", Seconds(blank=0), "check_timeout", "Of one check. Blank: the Service Timeout.", unit="s")


def rise() -> Setting:
    """How many successes bring a server back."""
    words = "Good checks in a row. Blank: as many as the Re-entry Time needs."
    return _setting("Back after", Number(0, 1000, "number of checks", required=False, blank=0), "rise", words, unit="checks")


def fall() -> Setting:
    """How many failures take a server out."""
    words = "Failed checks in a row, the later ones a second apart. Blank: one."
    return _setting("Out after", Number(0, 1000, "number of checks", required=False, blank=0), "fall", words, unit="checks")


def hold_down() -> Setting:
    """The first hold-down."""
    words = "A server that fails a second time stays out so long, each further time twice as long. Blank: off."
    return _setting("Hold-down", Seconds(blank=0), "hold_down", words, unit="s")


def slow_start() -> Setting:
    """How long a server's weight grows."""
    words = "A server that came back takes so long to its full weight. Blank: off."
    return _setting("Slow start", Number(0, 86400, "number of seconds", required=False, blank=0), "slow_start", words, unit="s")
