"""A guarded change on real agents with real traffic: each of the three reasons, a killed agent, a browser that is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from time import sleep

import pytest

from deploy.demo import cluster
from deploy.demo.cluster import VIP
from lvsagent.client import AgentDown
from lvsagent.wire import GuardInfo
from tests.pages import read_page
from tests.pair import KEEPALIVE_S, running_pair
from tests.stack import Stack, running_stack, web_server
from tests.waiting import until

ADDRESSES = {"number1": "127.0.0.21", "number2": "127.0.0.22", "number3": "127.0.0.23"}
HEAD = """\
serial_no = 1
primary = 127.0.0.1
service = lvs
network = nat
virtual http {
     active = 1
     address = 127.0.0.100 lo:1
     vip_nmask = 255.255.255.255
     port = 80
     send = "GET / HTTP/1.0\\r\\n\\r\\n"
     expect = "HTTP"
     timeout = 1
     reentry = 1
     scheduler = rr
"""
SERVER = "     server {name} {{\n         address = {address}\n         port = {port}\n         active = 1\n     }}\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where three web servers listen."""
    found = cluster.next_free(ADDRESSES.values(), 18300)
    with contextlib.ExitStack() as servers:
        for name, address in ADDRESSES.items():
            servers.enter_context(web_server(name, address, found))
        yield found


@pytest.fixture(scope="module")
def stack(port: int) -> Iterator[Stack]:
    servers = "".join(SERVER.format(name=name, address=address, port=port) for name, address in ADDRESSES.items())
    with running_stack(HEAD + servers + "}\n") as found:
        until(lambda: up(found) == 3, 20)
        yield found


def up(stack: Stack) -> int:
    return stack.agent_client.state().virtual_servers[0].up


def next_text(stack: Stack, old: str, new: str) -> str:
    """lvs.cf with one change, as its next serial."""
    text = stack.folder.lvs_cf.read_text()
    serial = int(text.partition("serial_no = ")[2].partition("\n")[0])
    assert old in text
    return text.replace(f"serial_no = {serial}", f"serial_no = {serial + 1}").replace(old, new)


def accept(stack: Stack, text: str, guard_s: float) -> None:
    client = stack.agent_client
    assert client.put_config(text, if_match=client.config().etag, guard_s=guard_s).applied


def guard_of(stack: Stack) -> GuardInfo | None:
    try:
        return stack.agent_client.state().guard
    except AgentDown:
        return None


def went_back(stack: Stack, limit_s: float) -> str:
    """Waits until it has; the reason."""
    until(lambda: (found := guard_of(stack)) is not None and found.state == "went back", limit_s, lambda: f"{guard_of(stack)}")
    found = guard_of(stack)
    assert found is not None
    return found.reason


class Visitors:
    """Clients that ask the virtual server all the time; ``served`` counts answers."""

    def __init__(self, port: int) -> None:
        self.served = 0
        self._port = port
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError), socket.create_connection((VIP, self._port), timeout=0.5) as one:
                one.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.served += one.recv(16).startswith(b"HTTP/1")
            sleep(0.02)


def test_checks_that_fail_after_the_change_bring_it_back_and_the_clients_are_served_again(stack: Stack) -> None:
    with Visitors(80 + stack.offset) as visitors:
        until(lambda: visitors.served > 10)
        accept(stack, next_text(stack, 'expect = "HTTP"', 'expect = "GOPHER"'), 60)
        assert went_back(stack, 20) == "virtual server http has lost every real server that was up before"
        until(lambda: up(stack) == 3, 20)
        served = visitors.served
        until(lambda: visitors.served > served + 10)
    assert 'expect = "HTTP"' in stack.folder.lvs_cf.read_text()


def test_clients_that_no_longer_arrive_bring_it_back(stack: Stack) -> None:
    with Visitors(80 + stack.offset) as visitors:
        until(lambda: len([one for one in stack.agent_client.state().virtual_servers[0].counters.history[-3:] if one > 10]) == 3, 30)
        accept(stack, next_text(stack, "     port = 80\n", "     port = 81\n"), 60)
        found = guard_of(stack)
        assert found is not None
        assert any("new connections a second" in words for words in found.watched)
        assert went_back(stack, 40).startswith("new connections fell from ")
        served = visitors.served
        until(lambda: visitors.served > served + 10)


def test_a_heartbeat_that_is_no_longer_heard_brings_it_back() -> None:
    with running_pair(agent_keys="") as pair:
        pair.wait_until_settled(pair.lefty)
        text = pair.lefty.lvs_cf.read_text()
        port = text.partition("heartbeat_port = ")[2].partition("\n")[0]
        other = text.replace(f"heartbeat_port = {port}", f"heartbeat_port = {int(port) - 1}").replace("serial_no = 1", "serial_no = 2")
        pair.lefty.client.put_config(other, if_match=pair.lefty.client.config().etag, guard_s=60)
        until(lambda: pair.lefty.lvs_cf.read_text() == text.replace("serial_no = 1", "serial_no = 3"), 20, pair.words)
        state = pair.lefty.state()
        assert state is not None
        assert state.guard is not None
        assert state.guard.reason == "the other director's heartbeat is not heard any more"
        until(lambda: pair.active() is not None, 20 + KEEPALIVE_S, pair.words)


def kill(stack: Stack) -> None:
    os.killpg(stack.agent.process.pid, signal.SIGKILL)
    stack.agent.process.wait()


def test_killed_in_the_middle_the_agent_comes_back_and_still_goes_back(stack: Stack) -> None:
    before = stack.folder.lvs_cf.read_text()
    accept(stack, next_text(stack, "scheduler = rr", "scheduler = wlc"), 4)
    kill(stack)
    stack.start_agent()
    found = guard_of(stack)
    assert found is not None
    assert found.state in {"watching", "going back", "went back"}
    assert went_back(stack, 20) == "nobody confirmed it within 4 s"
    assert "scheduler = rr" in stack.folder.lvs_cf.read_text()
    assert stack.agent_client.state().config.serial == int(before.partition("serial_no = ")[2].partition("\n")[0]) + 2


def test_killed_again_and_again_it_goes_back_once(stack: Stack) -> None:
    text = next_text(stack, "scheduler = rr", "scheduler = wlc")
    serial = stack.agent_client.state().config.serial
    accept(stack, text, 1)
    for _ in range(3):
        kill(stack)
        stack.start_agent()
    assert went_back(stack, 20) == "nobody confirmed it within 1 s"
    assert stack.agent_client.state().config.serial == serial + 2


def test_the_browser_is_gone_and_it_goes_back_all_the_same(stack: Stack) -> None:
    until(lambda: up(stack) == 3, 20)
    browser = stack.session()
    other = stack.session()
    etag = stack.agent_client.config().etag
    page = browser.get("/virtual-servers/http/virtual-server")
    [form] = [form for form in read_page(page.text, "").forms if "was" in form.fields]
    fields = {name: value for name, value in form.fields.items() if name != "csrf_token"}
    answer = browser.post(
        "/virtual-servers/http/virtual-server", {**fields, "scheduler": "wlc", "guard": "1", "guard_s": "2", "action": "accept"}
    )
    assert answer.status == 302, answer.text
    browser.close()
    assert stack.agent_client.config().etag != etag
    assert went_back(stack, 20) == "nobody confirmed it within 2 s"
    assert "went back by itself" in other.get("/control").text
    other.close()
