"""A DNS check as bytes: the query, and whether an answer is the expected one.

Pure, on dnspython.
"""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from app.lvscf import DnsRecord
from lvsagent.core.check_spec import CheckSpec, shown, shown_text

MOST_RECORDS = 64
"""More records of an answer than this are not looked at."""
MOST_BYTES = 4096
"""A larger answer is not read."""


for _record in (*DnsRecord, "OPT"):
    # dnspython loads the module of a record's type with the first record; by then nanny may no longer be able to read its folder.
    dns.rdata.get_rdata_class(dns.rdataclass.IN, dns.rdatatype.from_text(_record))  # type: ignore[no-untyped-call]  # it has none


class BadQueryError(Exception):
    """lvs.cf asks for a name that DNS cannot carry; the message says which."""


class NotDnsError(Exception):
    """What came is no DNS message."""


class DnsQuestion:
    """One query with the id ``number`` (0 to 65535), and the judge of its answer."""

    def __init__(self, spec: CheckSpec, number: int) -> None:
        """Raises BadQueryError."""
        details = spec.particulars
        try:
            name = dns.name.from_text(details.host)
            self._query = dns.message.make_query(name, dns.rdatatype.from_text(details.record), id=number)
            self.wire = self._query.to_wire()
        except (dns.exception.DNSException, ValueError) as error:
            raise BadQueryError(f"{shown_text(details.host) or 'an empty name'} cannot be asked for: {error}") from None
        self._type = dns.rdatatype.from_text(details.record)

    def answer(self, data: bytes) -> tuple[str, list[bytes]] | None:
        """Why the answer in ``data`` is none (``""``: it is one) and its records as text; None when it answers another question.

        Raises NotDnsError.
        """
        try:
            message = dns.message.from_wire(data[:MOST_BYTES], ignore_trailing=True)
            if not self._query.is_response(message):
                return None
            if message.flags & dns.flags.TC:
                return "the answer was cut short", []
            if message.rcode() is not dns.rcode.NOERROR:
                return f"the server answered {dns.rcode.to_text(message.rcode())}", []
            records = self._records(message)
        except (dns.exception.DNSException, ValueError, IndexError, UnicodeError) as error:
            raise NotDnsError(f"not a DNS answer: {shown_text(str(error) or type(error).__name__)}") from None
        return ("" if records else f"no {dns.rdatatype.to_text(self._type)} record in the answer"), records

    def _records(self, message: dns.message.Message) -> list[bytes]:
        wanted = [rrset for rrset in message.answer if rrset.rdtype == self._type]
        return [record.to_text().encode("utf-8", "surrogateescape") for rrset in wanted for record in rrset][:MOST_RECORDS]


def same_record(wanted: bytes, record: bytes) -> bool:
    """Whether a record is the expected one: the case of letters and a last dot do not matter, nor the quotes around a text."""
    return _plain(wanted) == _plain(record)


def _plain(record: bytes) -> bytes:
    return record.strip().strip(b'"').lower().removesuffix(b".")


def unexpected_records(wanted: bytes, records: list[bytes], *, use_regex: bool) -> str:
    """The reason when none of the records is the expected one."""
    return f"expected {'a match of ' if use_regex else ''}{shown(wanted)}, got {shown(b', '.join(records))}"
