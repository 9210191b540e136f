"""An ICMP echo as bytes: the request, and whether a packet is its reply.

Pure.  The kernel fills in the identifier and the checksum of an unprivileged ICMP socket, and hands up no IP header.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("!BBHHH")
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


def echo_request(version: int, sequence: int, payload: bytes) -> bytes:
    """The packet for IP ``version`` 4 or 6."""
    return _HEADER.pack(_REQUEST[version], 0, 0, 0, sequence & 0xFFFF) + payload


def is_echo_reply(version: int, packet: bytes, sequence: int, payload: bytes) -> bool:
    """Whether ``packet`` answers that request."""
    if len(packet) < _HEADER.size:
        return False
    kind, code, _, _, number = _HEADER.unpack_from(packet)
    return (kind, code, number) == (_REPLY[version], 0, sequence & 0xFFFF) and packet[_HEADER.size :] == payload
