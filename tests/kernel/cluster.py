"""The article's cluster inside one guest: a client, a director and three real servers, each in a network namespace.

```
 client 192.0.2.10 ──┐                    ┌── number1 10.11.12.21
                    pub ── lefty ── priv ─┼── number2 10.11.12.22
 (VIP 192.0.2.100) ──┘ eth1     eth0      └── number3 10.11.12.23     default route: 10.11.12.1
```

IPv6 runs beside it: 2001:db8:1::/64 on pub, 2001:db8:2::/64 on priv.  The real servers' programs are processes forked from the test's
own (starting a program is slow here); the client is a few sockets made in its namespace.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable, Iterator

from tests.kernel import net

VIP, VIP6 = "192.0.2.100", "2001:db8:1::100"
NAT_ROUTER = "10.11.12.1"
NUMBERS = ("number1", "number2", "number3")
ADDRESSES = {name: f"10.11.12.2{n}" for n, name in enumerate(NUMBERS, start=1)}
ADDRESSES6 = {name: f"2001:db8:2::2{n}" for n, name in enumerate(NUMBERS, start=1)}
TCP_PORTS, UDP_PORT = (80, 443), 53
PAYLOAD = bytes(range(256)) * 800
"""What every real server answers to ``GET /payload``."""
PATIENCE_S = 5.0


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a process of its own, ahead of the agent in the queue for the only processor; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.nice(-10)
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def killed(pid: int) -> None:
    """End a process that was forked here."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- the real servers' program -------------------------------------------------------------------------------------------------


def serve(name: str) -> int:
    """Start the program of a real server: HTTP that says its name, an echo for connections that stay, and a datagram service."""
    with net.namespace(name):
        listeners = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256) for port in TCP_PORTS]
        datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams.bind(("::", UDP_PORT))
    pid = forked(lambda: _serve(name.encode(), listeners, datagrams))
    for listener in (*listeners, datagrams):
        listener.close()
    return pid


def _serve(name: bytes, listeners: list[socket.socket], datagrams: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, selectors.EVENT_READ, "listener")
        selector.register(datagrams, selectors.EVENT_READ, "datagrams")
        while True:
            for key, _events in selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if key.data == "listener":
                    selector.register(ready.accept()[0], selectors.EVENT_READ, "connection")
                elif key.data == "datagrams":
                    _question, asker = ready.recvfrom(2048)
                    ready.sendto(name, asker)
                elif not _answered(name, ready):
                    selector.unregister(ready)
                    ready.close()


def _answered(name: bytes, connection: socket.socket) -> bool:
    """Answer once; whether the connection stays."""
    try:
        asked = connection.recv(4096)
        if not asked.startswith(b"GET "):
            connection.sendall(name + b" " + asked)
            return bool(asked)
        body = PAYLOAD if asked.startswith(b"GET /payload") else name
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    except OSError:
        pass
    return False


# --- the client ----------------------------------------------------------------------------------------------------------------


_ports = itertools.count(20_000)
"""The client never uses a port twice: for minutes the kernel would send it the way the earlier connection went."""


def fetch(address: tuple[str, int], port: int, path: str = "/", limit_s: float = PATIENCE_S) -> bytes:
    """One HTTP request from this thread's namespace and the client's own ``port``; the answer's body.  Raises OSError."""
    with socket.create_connection(address, limit_s, ("", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"HTTP/1.0 200"):
        raise OSError("the answer was cut off")
    return body


# --- the network ---------------------------------------------------------------------------------------------------------------


class Cluster:
    """The namespaces and their programs.  Made by ``running()``."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}

    def fetch(self, address: str = VIP, port: int = 80, path: str = "/") -> bytes:
        """One request by the client."""
        with net.namespace("client"):
            return fetch((address, port), next(_ports), path)

    def names(self, count: int, address: str = VIP, port: int = 80) -> dict[str, int]:
        """How often each real server answered ``count`` requests."""
        found: dict[str, int] = {}
        for _ in range(count):
            name = self.fetch(address, port).decode()
            found[name] = found.get(name, 0) + 1
        return found

    def connect(self, address: str = VIP, port: int = 80) -> socket.socket:
        """A connection by the client that stays open."""
        with net.namespace("client"):
            return socket.create_connection((address, port), PATIENCE_S, ("", next(_ports)))

    def ask_datagram(self, address: str = VIP, port: int = UDP_PORT) -> str:
        """One datagram by the client, from a port of its own; the answer."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with net.namespace("client"), socket.socket(family, socket.SOCK_DGRAM) as asker:
            asker.settimeout(PATIENCE_S)
            asker.bind(("", next(_ports)))
            asker.connect((address, port))
            asker.send(b"who is there?")
            return asker.recv(2048).decode()

    def stop(self, name: str) -> None:
        """The real server's program dies."""
        killed(self.pids.pop(name))

    def start(self, name: str) -> None:
        """It comes back."""
        self.pids[name] = serve(name)

    @contextlib.contextmanager
    def answering_directly(self, *, tunnels: bool) -> Iterator[None]:
        """The real servers carry the VIP themselves, silently, and answer the client without the director.

        ``tunnels``: what comes from the director is packed IP in IP, else it is the client's own packet.
        """
        for number, name in enumerate(NUMBERS, start=1):
            net.ip(f"link add {name}-pub type veth peer name eth1 netns {name}", f"link set {name}-pub master pub up")
            with net.namespace(name):
                for setting, value in (("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")):
                    net.sysctl(f"net/ipv4/conf/all/{setting}", value)
                net.ip(f"address add 192.0.2.2{number}/24 dev eth1", f"address add {VIP}/32 dev lo", "link set eth1 up")
                if tunnels:
                    net.ip(f"link add ipip0 type ipip local {ADDRESSES[name]} remote any", "link set ipip0 up")
        try:
            yield
        finally:
            net.ip(*(f"link delete {name}-pub" for name in NUMBERS))
            for name in NUMBERS:
                with net.namespace(name):
                    net.ip(f"address delete {VIP}/32 dev lo", *(["link delete ipip0"] if tunnels else []))

    def close(self) -> None:
        for pid in self.pids.values():
            killed(pid)
        net.ip(*(f"netns delete {name}" for name in ("client", "lefty", *NUMBERS)), "link delete pub", "link delete priv")


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """The whole cluster, up; nothing of it afterwards."""
    cluster = Cluster()
    try:
        _build()
        for name in NUMBERS:
            cluster.start(name)
        yield cluster
    finally:
        cluster.close()


def _build() -> None:
    names = ("client", "lefty", *NUMBERS)
    net.ip(
        *(f"netns add {name}" for name in names),
        "link add pub type bridge",
        "link add priv type bridge",
        "link set pub up",
        "link set priv up",
        *plug("client", "eth0", "pub"),
        *plug("lefty", "eth1", "pub"),
        *plug("lefty", "eth0", "priv"),
        *(line for name in NUMBERS for line in plug(name, "eth0", "priv")),
    )
    configure("client", ["192.0.2.10/24 dev eth0", "2001:db8:1::10/64 dev eth0 nodad"], [])
    configure(
        "lefty",
        ["192.0.2.11/24 dev eth1", "10.11.12.11/24 dev eth0", "2001:db8:1::11/64 dev eth1 nodad", "2001:db8:2::11/64 dev eth0 nodad"],
        [],
    )
    for name in NUMBERS:
        routes = [f"default via {NAT_ROUTER}", "default via 2001:db8:2::11"]
        configure(name, [f"{ADDRESSES[name]}/24 dev eth0", f"{ADDRESSES6[name]}/64 dev eth0 nodad"], routes)
    with net.namespace("client"):
        net.sysctl("net/ipv4/ip_local_port_range", "1024 19999")  # the others are given out here, each once
    with net.namespace("lefty"):
        net.sysctl("net/ipv4/ip_forward", "1")
        net.sysctl("net/ipv6/conf/all/forwarding", "1")


def plug(name: str, device: str, bridge: str) -> list[str]:
    """A cable from a namespace's interface to a bridge."""
    far = f"{name}-{bridge}"
    return [f"link add {far} type veth peer name {device} netns {name}", f"link set {far} master {bridge} up"]


def configure(name: str, addresses: list[str], routes: list[str]) -> None:
    with net.namespace(name):
        interfaces = dict.fromkeys(["lo", *(line.split()[2] for line in addresses)])
        net.ip(
            *(f"link set {interface} up" for interface in interfaces),
            *(f"address add {line}" for line in addresses),
            *(f"route add {line}" for line in routes),
        )


# --- frames seen on the wire ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def announcements() -> Iterator[Callable[[], list[str]]]:
    """What the client's interface hears meanwhile: a function that says which addresses announced themselves by ARP, in order."""
    with net.namespace("client"):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    wire.bind(("eth0", 0))
    wire.setblocking(False)
    heard: list[str] = []

    def look() -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = wire.recv(2048)
                if frame[28:32] == frame[38:42]:
                    heard.append(socket.inet_ntoa(frame[28:32]))
        return heard

    with wire:
        yield look


def ipvsadm_rules() -> list[str]:
    """``ipvsadm -S -n`` on the director."""
    with net.namespace("lefty"):
        return net.output("ipvsadm", "-S", "-n").splitlines()


def director_addresses(device: str, name: str = "lefty") -> set[tuple[str, str]]:
    """The addresses (with prefix length) and labels on an interface of a director."""
    with net.namespace(name):
        shown = json.loads(net.output("ip", "-json", "address", "show", "dev", device))
    return {
        (f"{info['local']}/{info['prefixlen']}", info.get("label", ""))
        for link in shown
        for info in link.get("addr_info", [])
        if not info["local"].startswith("fe80:")
    }
