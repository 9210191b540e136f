"""The kernel's refusals in an administrator's words: an operation and an error number go in, a sentence comes out."""

from __future__ import annotations

import errno

from app.lvscf.model import Forwarding
from lvsagent.adapters.netlink import NetlinkError
from lvsagent.core.table import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    Family,
    Operation,
    Server,
    ServerKey,
    Service,
    ServiceKey,
    SetServer,
    SetService,
    SetTimeouts,
)

_REASONS = {
    errno.EEXIST: "exists already",
    errno.ESRCH: "no such virtual server",
    errno.ENOENT: "no such real server",
    errno.ERANGE: "weight or thresholds out of range",
    errno.EPERM: "no privilege (CAP_NET_ADMIN)",
    errno.ENOMEM: "the kernel has no memory left for it",
    errno.EAFNOSUPPORT: "this kernel's IPVS has no IPv6",
    errno.EPROTONOSUPPORT: "this kernel's IPVS does not know the protocol",
}


def words(operation: Operation, error: NetlinkError) -> str:
    """Why the kernel did not carry out an operation, with its subject."""
    match operation:
        case AddService(key, service) | SetService(key, service):
            return _service_words(key, service, error)
        case DeleteService(key):
            return f"virtual server {key}: {_reason(error)}"
        case AddServer(service=of) | SetServer(service=of) | DeleteServer(service=of) if error.errno == errno.ESRCH:
            return f"virtual server {of}: {_reason(error)}"
        case AddServer(of, server_key, server) | SetServer(of, server_key, server):
            return f"real server {server_key} of {of}: {_server_reason(of, server_key, server, error)}"
        case DeleteServer(of, server_key):
            return f"real server {server_key} of {of}: {_reason(error)}"
        case SetTimeouts():
            return f"timeouts: {_reason(error)}"


def _service_words(key: ServiceKey, service: Service, error: NetlinkError) -> str:
    if error.errno == errno.ENOENT:
        engine = f" or persistence engine {service.persistence_engine}" if service.persistence_engine else ""
        return f"scheduler {service.scheduler}{engine}: module missing"
    if error.errno == errno.EINVAL and key.family is Family.IPV6 and not 1 <= service.persistence_prefix <= 128:
        return f"virtual server {key}: persistence netmask /{service.persistence_prefix} out of range"
    return f"virtual server {key}: {_reason(error)}"


def _server_reason(of: ServiceKey, key: ServerKey, server: Server, error: NetlinkError) -> str:
    """EINVAL is the kernel's word for two things; which of them shows from what was asked."""
    if error.errno != errno.EINVAL:
        return _reason(error)
    if (":" in key.address) != (of.family is Family.IPV6) and server.forwarding is not Forwarding.TUNNEL:
        return "another address family needs forwarding tunnel"
    return "not an address that a packet can be sent to"


def _reason(error: NetlinkError) -> str:
    said = _REASONS.get(error.errno or 0, f"the kernel refuses it: {error.strerror}")
    return f"{said} ({error.hint})" if error.hint else said
