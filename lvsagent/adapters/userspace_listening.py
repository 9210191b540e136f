"""Where a virtual server of the userspace data plane listens, and why it cannot.  Owns these sockets' making, and the words for it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Mapping

from lvsagent.adapters.userspace_virtuals import Refused
from lvsagent.core.table import Family, ServiceKey

BACKLOG = 1024
_WORDS: Mapping[int, str] = {
    errno.EADDRNOTAVAIL: "address {address} is not on this machine, and the demonstration data plane adds none (any of 127.0.0.0/8 works)",
    errno.EADDRINUSE: "port {port} of {address} is in use by another program",
    errno.EACCES: "port {port} needs root; set userspace_port_offset",
    errno.EMFILE: "too many open files: the demonstration data plane needs one for each virtual server",
}


def check_place(key: ServiceKey, port_offset: int) -> None:
    """Raises Refused for a virtual server whose place nobody could listen on."""
    port = key.port + port_offset
    if ipaddress.ip_address(key.address).is_unspecified:
        raise Refused(f"virtual server {key}: {key.address} is no address of a virtual server")
    if not 0 < port < 65536:
        raise Refused(f"virtual server {key}: cannot listen on port {port} (port {key.port} + userspace_port_offset {port_offset})")


def listen(key: ServiceKey, port: int) -> socket.socket:
    """A socket that takes connections for ``key`` on ``port``.  Raises Refused."""
    listener = socket.socket(socket.AF_INET6 if key.family is Family.IPV6 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # while the role moves to another director on this machine
        if key.family is Family.IPV6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((key.address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Refused(f"virtual server {key}: {listen_words(key, port, error)}") from error
    return listener


def listen_words(key: ServiceKey, port: int, error: OSError) -> str:
    """Why nobody can listen there, in words that say what to do."""
    words = _WORDS.get(error.errno or 0)
    if words is None:
        return f"cannot listen on port {port} of {key.address}: {(error.strerror or str(error)).lower()}"
    return words.format(address=key.address, port=port)
