"""Each kind of check against a real server of its kind, and against servers that misbehave in every way."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dns.message
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from lvsagent.adapters.checks import Checks, conversations, stream
from lvsagent.core.check_spec import CheckSpec, Details, Method, Outcome
from tests.certificates import self_signed, server_context
from tests.misbehaving import Behaviour, half_closes, resets, says, serving, stays, talks_forever

QUICK = 0.3


def spec(method: Method, port: int, details: Details | None = None, **changes: Any) -> CheckSpec:
    base = CheckSpec("v/one", "127.0.0.1", port, "tcp", method, timeout_s=5, details=details or Details())
    return replace(base, **changes)


@pytest.fixture
def checks() -> Iterator[Checks]:
    made = Checks()
    yield made
    made.close()


def verdict(outcome: Outcome) -> tuple[bool, str]:
    return outcome.ok, outcome.reason


# --- whatever the kind ---------------------------------------------------------------------------------------------------------

SPOKEN = {
    "http": (Method.HTTP, Details()),
    "https": (Method.HTTP, Details(tls=True)),
    "tls": (Method.TLS, Details()),
    "smtp": (Method.SMTP, Details()),
    "agent": (Method.AGENT, Details()),
    "dns": (Method.DNS, Details(host="www.example.com")),
}


async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\x30")
        await writer.drain()
        await asyncio.sleep(0.02)


async def floods_lines(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"220-wait\r\n" * 6000)
        await writer.drain()


async def floods_interim_answers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 3000)
        await writer.drain()


@pytest.mark.parametrize("kind", SPOKEN)
@pytest.mark.parametrize(
    "behaviour", [talks_forever, drips, stays, half_closes, resets, says(), says(os.urandom(3000)), floods_lines, floods_interim_answers]
)
async def test_no_server_passes_or_holds_up_a_check_by_misbehaving(checks: Checks, kind: str, behaviour: Behaviour) -> None:
    method, details = SPOKEN[kind]
    async with serving(behaviour) as port:
        outcome = await checks.check(spec(method, port, details, timeout_s=QUICK))
    assert not outcome.ok
    assert outcome.conclusive
    assert outcome.reason
    assert outcome.reason.isprintable()
    assert outcome.duration_s < QUICK + 1
    assert len(outcome.reply) <= 1024


@pytest.mark.parametrize("kind", SPOKEN)
async def test_nobody_listens(checks: Checks, kind: str) -> None:
    method, details = SPOKEN[kind]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert verdict(await checks.check(spec(method, unused.getsockname()[1], details))) == (False, "connection refused")


@pytest.mark.parametrize("kind", SPOKEN)
async def test_a_host_name_is_never_looked_up(checks: Checks, kind: str) -> None:
    method, details = SPOKEN[kind]
    outcome = await checks.check(spec(method, 80, details, address="nosuch.example"))
    assert (outcome.ok, outcome.conclusive) == (False, False)


async def test_nothing_stays_open(checks: Checks) -> None:
    async with serving(says(b"up\n")) as port:
        await checks.check(spec(Method.AGENT, port))
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- the folder changes while it is read
        for method, details in SPOKEN.values():
            await checks.check(spec(method, port, details, timeout_s=QUICK))
        await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208


# --- HTTP ----------------------------------------------------------------------------------------------------------------------


class Pages(http.server.BaseHTTPRequestHandler):
    asked: tuple[str, str] = ("", "")

    def do_GET(self) -> None:
        type(self).asked = (self.path, self.headers["Host"])
        status = int(self.path.rpartition("/")[2] or 200)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"status: all well\n" + b"x" * 10000)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def pages(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Details]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    secure = request.param == "https"
    if secure:
        server.socket = server_context(self_signed(tmp_path)).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1], Details(tls=secure)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("details", "changes", "reason"),
    [
        ({}, {}, ""),
        ({"path": "/301"}, {}, ""),
        ({"path": "/503"}, {}, "status 503, expected 200-399"),
        ({"path": "/204", "status": "200-299,301"}, {}, ""),
        ({"path": "/302", "status": "200-299,301"}, {}, "status 302, expected 200-299,301"),
        ({"path": "/404", "status": "404"}, {}, ""),
        ({}, {"expect": b"status: *ll"}, ""),
        ({}, {"expect": b"bad"}, "expected bad, got status: all well"),
        ({}, {"expect": b"a[l]+ well", "use_regex": True}, ""),
        ({}, {"expect": b"ill", "use_regex": True}, "expected a match of ill, got status: all well"),
        ({"path": "/503"}, {"expect": b"status"}, "status 503, expected 200-399"),
    ],
)
async def test_http_is_judged_by_status_and_body(
    checks: Checks, pages: tuple[int, Details], details: dict[str, Any], changes: dict[str, Any], reason: str
) -> None:
    port, base = pages
    outcome = await checks.check(spec(Method.HTTP, port, replace(base, **details), **changes))
    assert outcome.ok is (reason == ""), outcome
    assert outcome.reason.startswith(reason)
    assert outcome.reply.startswith(b"HTTP/1.0 ")
    assert 0 < outcome.connect_s < outcome.duration_s
    assert outcome.first_byte_s > 0
    assert (outcome.tls_s > 0) is base.tls


async def test_http_asks_for_the_path_and_the_host_of_lvs_cf(checks: Checks, pages: tuple[int, Details]) -> None:
    port, base = pages
    assert (await checks.check(spec(Method.HTTP, port, replace(base, path="/health?full=1/", host="www.example.com")))).ok
    assert Pages.asked == ("/health?full=1/", "www.example.com")
    assert (await checks.check(spec(Method.HTTP, port, base))).ok
    assert Pages.asked == ("/", f"127.0.0.1:{port}")


async def test_a_body_that_never_ends_is_judged_by_its_beginning(checks: Checks) -> None:
    async with serving(says(b"HTTP/1.1 200 OK\r\n\r\nall ", b"well", then=talks_forever)) as port:
        outcome = await checks.check(spec(Method.HTTP, port, expect=b"well", use_regex=True))
        assert verdict(outcome) == (True, "")
        outcome = await checks.check(spec(Method.HTTP, port, expect=b"ill", use_regex=True))
        assert outcome.reason.startswith("expected a match of ill, got all wellxxx")
    async with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nall well", then=stays)) as port:
        outcome = await checks.check(spec(Method.HTTP, port, expect=b"ill", timeout_s=QUICK))
        assert outcome.reason == "expected ill, got all well"
        outcome = await checks.check(spec(Method.HTTP, port, expect=b"all well and more", timeout_s=QUICK))
        assert outcome.reason == "expected all well and more, got all well within 0.3 s"


async def test_interim_answers_are_passed_over(checks: Checks) -> None:
    async with serving(says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3, b"HTTP/1.1 200 OK\r\n\r\n", then=stays)) as port:
        assert (await checks.check(spec(Method.HTTP, port))).ok


async def test_a_request_that_cannot_be_made_blames_no_server(checks: Checks) -> None:
    async with serving(stays) as port:
        outcome = await checks.check(spec(Method.HTTP, port, Details(path="/a b\r\nX: y")))
    assert (outcome.ok, outcome.conclusive) == (False, False)


# --- TLS -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A certificate that this director trusts."""
    pem = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    conversations.tls_context.cache_clear()
    yield pem
    conversations.tls_context.cache_clear()


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (Details(), ""),
        (Details(verify=True), ""),
        (Details(verify=True, host="www.example.com"), ""),
        (Details(verify=True, host="other.example.com"), "the certificate is not valid: Hostname mismatch"),
        (Details(host="other.example.com"), ""),
    ],
)
async def test_a_certificate_is_verified_when_lvs_cf_says_so(checks: Checks, trusting: Path, details: Details, reason: str) -> None:
    async with serving(stays, tls=server_context(trusting)) as port:
        outcome = await checks.check(spec(Method.TLS, port, details))
    assert outcome.ok is (reason == ""), outcome
    assert outcome.reason.startswith(reason)


async def test_a_certificate_that_nobody_vouches_for_fails_only_a_check_that_verifies(checks: Checks, tmp_path: Path) -> None:
    conversations.tls_context.cache_clear()
    async with serving(stays, tls=server_context(self_signed(tmp_path))) as port:
        assert (await checks.check(spec(Method.TLS, port))).ok
        outcome = await checks.check(spec(Method.TLS, port, Details(verify=True)))
    assert verdict(outcome) == (False, "the certificate is not valid: self-signed certificate")


@pytest.mark.parametrize(
    ("days", "warn", "warning"),
    [(90.0, 14, ""), (9.5, 14, "the certificate ends in 9 days"), (9.5, 0, ""), (-2.5, 14, "the certificate ended 2 days ago")],
)
async def test_a_certificate_that_ends_soon_is_a_warning_and_no_failure(
    checks: Checks, tmp_path: Path, days: float, warn: int, warning: str
) -> None:
    async with serving(stays, tls=server_context(self_signed(tmp_path, days=days))) as port:
        outcome = await checks.check(spec(Method.TLS, port, Details(certificate_days=warn)))
    assert (outcome.ok, outcome.warning) == (True, warning)
    assert outcome.reply.startswith(b"TLSv1.3, TLS_")


async def test_send_and_expect_go_through_tls(checks: Checks, tmp_path: Path) -> None:
    async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.readline())
        await stays(reader, writer)

    async with serving(echoes, tls=server_context(self_signed(tmp_path))) as port:
        assert (await checks.check(spec(Method.TLS, port, send=b"PING\n", expect=b"got PING"))).ok
        assert (await checks.check(spec(Method.TLS, port, send=b"PING\n", expect=b"P.NG", use_regex=True))).ok
        outcome = await checks.check(spec(Method.TLS, port, send=b"PING\n", expect=b"PONG"))
        assert outcome.reason == "expected PONG, got got PING"
        outcome = await checks.check(spec(Method.TLS, port, send=b"PING\n", expect=b"got PING\nmore", timeout_s=QUICK))
        assert outcome.reason.endswith("within 0.3 s")


async def test_a_server_that_floods_tls_is_left(checks: Checks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stream, "TLS_MOST_BYTES", 20_000)
    async with serving(talks_forever, tls=server_context(self_signed(tmp_path))) as port:
        outcome = await checks.check(spec(Method.TLS, port, send=b"x", expect=b"xxxx" * 10 + b"y"))
    assert not outcome.ok
    assert outcome.duration_s < 2


async def test_plain_http_on_a_tls_port_is_said(checks: Checks) -> None:
    async with serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then=stays)) as port:
        outcome = await checks.check(spec(Method.TLS, port))
    assert outcome.reason.startswith("TLS failed: wrong version number") or "TLS failed" in outcome.reason


# --- SMTP ----------------------------------------------------------------------------------------------------------------------


async def test_a_real_smtp_server(checks: Checks) -> None:
    controller = Controller(Sink(), hostname="127.0.0.1", port=0)
    controller.port = free_port()
    controller.start()
    try:
        outcome = await checks.check(spec(Method.SMTP, controller.port))
    finally:
        controller.stop()
    assert verdict(outcome) == (True, "")
    assert outcome.reply.startswith(b"220 ")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (says(b"554 no service\r\n", then=stays), "expected 220, got 554 no service"),
        (says(b"220-a\r\n", b"220 b\r\n250 ready\r\n", then=stays), ""),
        (says(b"220 a\r\n421 too busy\r\n", then=stays), r"expected 250, got 220 a\r\n421 too busy"),
        (says(b"SSH-2.0-x\r\n", then=stays), "not an SMTP reply: SSH-2.0-x"),
        (says(b"220-a\r\n250 b\r\n", then=stays), "not an SMTP reply: 250 b"),
        (says(b"220 never ends"), "the connection was closed before the end of the reply"),
    ],
)
async def test_smtp_is_judged_by_its_replies(checks: Checks, behaviour: Behaviour, reason: str) -> None:
    async with serving(behaviour) as port:
        assert verdict(await checks.check(spec(Method.SMTP, port))) == (reason == "", reason)


# --- the feedback agent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason", "share"),
    [
        (b"up\n", "", 100),
        (b"ready 75%\r\n", "", 75),
        (b"50%\n", "", 50),
        (b"up", "", 100),
        (b"drain\n", "", 0),
        (b"down # disk full\n", "the agent says down: disk full", 100),
        (b"maint\n", "the agent says maint", 100),
        (b"HTTP/1.1 400\n", "the agent said nothing that is understood: HTTP/1.1 400", 100),
    ],
)
async def test_an_agent_is_believed(checks: Checks, said: bytes, reason: str, share: int) -> None:
    async with serving(says(said)) as port:
        outcome = await checks.check(spec(Method.AGENT, port))
    assert (outcome.ok, outcome.reason, outcome.share_percent) == (reason == "", reason, share)


async def test_an_agent_that_is_asked_first_is_asked(checks: Checks) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"30%\n" if await reader.readline() == b"web\n" else b"down\n")

    async with serving(answers) as port:
        assert (await checks.check(spec(Method.AGENT, port, send=b"web\n"))).share_percent == 30


# --- DNS -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[int]:
    """A real dnsmasq that answers for one name, on both protocols."""
    port = free_port()
    command = ["dnsmasq", "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv"]
    command += ["--no-hosts", f"--conf-file={os.devnull}", "--host-record=www.example.com,192.0.2.7", "--user=root", "--pid-file="]
    command += ["--txt-record=example.com,v=spf1 -all", "--mx-host=example.com,mail.example.com,10", "--local=/example.com/"]
    try:
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE)
    except FileNotFoundError:
        pytest.skip("dnsmasq is not installed")
    with daemon:
        deadline = time.monotonic() + 10
        while not listening(port):
            assert daemon.poll() is None, daemon.stderr and daemon.stderr.read()
            assert time.monotonic() < deadline
        yield port
        daemon.terminate()


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("details", "changes", "reason"),
    [
        (Details(host="www.example.com"), {}, ""),
        (Details(host="WWW.example.com."), {"expect": b"192.0.2.7"}, ""),
        (Details(host="www.example.com"), {"expect": b"192.0.2.8"}, "expected 192.0.2.8, got 192.0.2.7"),
        (Details(host="www.example.com"), {"expect": b"^192\\.0\\.", "use_regex": True}, ""),
        (Details(host="www.example.com"), {"expect": b"^10\\.", "use_regex": True}, "expected a match of ^10\\\\., got 192.0.2.7"),
        (Details(host="www.example.com", record="AAAA"), {}, "no AAAA record in the answer"),
        (Details(host="example.com", record="MX"), {"expect": b"10 mail.example.com"}, ""),
        (Details(host="example.com", record="TXT"), {"expect": b"v=spf1 -all"}, ""),
        (Details(host="nosuch.example.com"), {}, "the server answered NXDOMAIN"),
        (Details(host="elsewhere.org"), {}, "the server answered REFUSED"),
    ],
)
async def test_a_real_dns_server_is_judged_by_its_answer(
    checks: Checks, dnsmasq: int, protocol: str, details: Details, changes: dict[str, Any], reason: str
) -> None:
    outcome = await checks.check(spec(Method.DNS, dnsmasq, details, protocol=protocol, **changes))
    assert verdict(outcome) == (reason == "", reason)


@contextlib.asynccontextmanager
async def datagrams_from(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[int]:
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for each in answer(data):
                self.transport.sendto(each, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def right(query: bytes) -> bytes:
    answer = dns.message.make_response(dns.message.from_wire(query))
    answer.answer.append(dns.rrset.from_text("www.example.com.", 60, "IN", "A", "192.0.2.7"))
    return answer.to_wire()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda query: [b"garbage", query, b"", bytes([query[0] ^ 1]) + right(query)[1:], right(query)], ""),
        (lambda _query: [], "no answer within 0.3 s"),
        (lambda query: [query[:2] + b"\x81\x80" + b"\xff" * 30], "not a DNS answer: "),
        (lambda query: [query] * 200, "no answer within 0.3 s"),
        (lambda query: [query[:2] + b"\x83\x80" + query[4:]], "the answer was cut short"),
    ],
)
async def test_only_the_answer_to_this_question_counts(checks: Checks, answer: Callable[[bytes], list[bytes]], reason: str) -> None:
    async with datagrams_from(answer) as port:
        outcome = await checks.check(spec(Method.DNS, port, Details(host="www.example.com"), protocol="udp", timeout_s=QUICK))
    assert outcome.ok is (reason == ""), outcome
    assert outcome.reason.startswith(reason)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
async def test_a_name_that_dns_cannot_carry_blames_no_server(checks: Checks, protocol: str) -> None:
    async with serving(stays) as port:
        outcome = await checks.check(spec(Method.DNS, port, Details(host="a" * 80), protocol=protocol))
    assert (outcome.ok, outcome.conclusive) == (False, False)
    assert "cannot be asked for" in outcome.reason


# --- ping ----------------------------------------------------------------------------------------------------------------------


async def ping(address: str, **changes: Any) -> Outcome:
    checks = Checks()
    try:
        return await checks.check(spec(Method.PING, 0, address=address, protocol="icmp", **changes))
    finally:
        checks.close()


async def test_without_permission_a_ping_says_what_to_do_and_blames_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_arguments: object) -> socket.socket:
        raise PermissionError

    monkeypatch.setattr("lvsagent.adapters.checks.datagrams.socket.socket", no_socket)
    outcome = await ping("127.0.0.1")
    assert (outcome.ok, outcome.conclusive) == (False, False)
    assert f"net.ipv4.ping_group_range='{os.getegid()} {os.getegid()}'" in outcome.reason


def may_ping() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not may_ping(), reason="net.ipv4.ping_group_range does not permit this group to ping")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_address_that_answers_is_up(address: str) -> None:
    outcome = await ping(address)
    assert verdict(outcome) == (True, "")
    assert 0 < outcome.first_byte_s <= outcome.duration_s


LATE = """
import sys
import dns.message, dns.rrset
import lvsagent.nanny.run
from app.lvscf import DnsRecord
from lvsagent.adapters.checks.conversations import tls_context, warning_of
from lvsagent.core.check_dns import DnsQuestion
from lvsagent.core.check_http import HttpAnswer
from lvsagent.core.check_spec import CheckSpec, Details, Method

SAMPLES = {"A": "192.0.2.1", "AAAA": "2001:db8::1", "MX": "10 a.", "SOA": "a. b. 1 2 3 4 5", "SRV": "1 2 3 a.", "TXT": "x"}
before = set(sys.modules)
for record in DnsRecord:
    spec = CheckSpec("a/b", "127.0.0.1", 53, "udp", Method.DNS, details=Details(host="xn--bcher-kva.example", record=record))
    question = DnsQuestion(spec, 1)
    answer = dns.message.make_response(dns.message.from_wire(question.wire))
    answer.answer.append(dns.rrset.from_text("xn--bcher-kva.example.", 1, "IN", record, SAMPLES.get(record, "a.")))
    assert question.answer(answer.to_wire())[0] == "", record
HttpAnswer(CheckSpec("a/b", "127.0.0.1", 80, "tcp", Method.HTTP)).feed(b"HTTP/1.1 200 OK\\r\\n\\r\\nx")
import ssl
tls_context(verify=True).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="xn--bcher-kva.example")
warning_of(b"x", 0, 14)
print(sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_once_privileges_are_gone() -> None:
    """The check user may not be able to read the libraries' folder."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
