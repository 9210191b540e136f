"""The console and the agent under a large configuration, and how soon an ACCEPT is in the data plane.

1,000 virtual servers with 10 real servers each, the real agent (userspace data plane) and the real console, eight browsers at once, each
going through the pages in its own order.  Then the tutorial's cluster: from the POST of an ACCEPT until the data plane answers as changed.
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import statistics
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from time import perf_counter

from bench.neighbours import Neighbours
from deploy.demo import cluster
from tests.pages import read_page
from tests.stack import Session, Stack, running_stack, web_server
from tests.waiting import until

VIRTUAL = 1000
REAL = 10
CLIENTS = 8
ROUNDS = 12
PAGE_GOAL_S = 0.3
ACCEPTS = 40
ACCEPT_GOAL_S = 0.15
REAL_PORT = 18080
ONE = "/virtual-servers/web0500"
PAGES = (
    "/control",
    "/control?page=20",
    "/control?q=web07",
    "/control/live",
    "/control/checks",
    "/control/events",
    "/control/table",
    "/global-settings",
    "/redundancy",
    "/virtual-servers",
    "/virtual-servers?page=20",
    f"{ONE}/virtual-server",
    f"{ONE}/real-servers",
    f"{ONE}/monitoring-scripts",
)
HEAD = """\
serial_no = 1
primary = 127.0.0.1
service = lvs
network = nat
"""
BLOCK = """\
virtual web{number:04d} {{
     active = 1
     address = 127.1.{high}.{low} lo:1
     vip_nmask = 255.255.255.255
     port = 80
     scheduler = wlc
     protocol = tcp
     timeout = 600
     reentry = 600
{servers}}}
"""
SERVER = """\
     server real{number:02d} {{
         address = 127.0.1.{number}
         active = 1
         port = {port}
         weight = 1
     }}
"""


def say(words: str) -> None:
    """Progress."""
    print(words, file=sys.stderr, flush=True)


def large_lvs_cf() -> str:
    """Every virtual server has an address of its own; the real servers are the same ten addresses everywhere."""
    servers = "".join(SERVER.format(number=number, port=REAL_PORT) for number in range(1, REAL + 1))
    blocks = (BLOCK.format(number=number, high=number // 250, low=1 + number % 250, servers=servers) for number in range(VIRTUAL))
    return HEAD + "".join(blocks)


@contextlib.contextmanager
def real_servers() -> Iterator[None]:
    """Ten addresses that accept connections, which is all that the checks ask for here."""
    with contextlib.ExitStack() as stack:
        for number in range(1, REAL + 1):
            listener = stack.enter_context(socket.create_server((f"127.0.1.{number}", REAL_PORT), backlog=1024))
            threading.Thread(target=_accept_forever, args=(listener,), daemon=True).start()
        yield


def _accept_forever(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()


def measure_pages(stack: Stack) -> dict[str, list[float]]:
    """Seconds of every request by page; eight browsers at once."""
    times: dict[str, list[float]] = defaultdict(list)
    sessions = [stack.session() for _ in range(CLIENTS)]
    for page in PAGES:
        answer = sessions[0].get(page)
        if answer.status != 200:
            raise SystemExit(f"{page} answers {answer.status}")
    errors: list[str] = []

    def browse(session: Session, order: random.Random) -> None:
        for _ in range(ROUNDS):
            for page in order.sample(PAGES, len(PAGES)):
                since = perf_counter()
                answer = session.get(page)
                times[page].append(perf_counter() - since)
                if answer.status != 200:
                    errors.append(f"{page}: {answer.status}")

    threads = [threading.Thread(target=browse, args=(session, random.Random(seed))) for seed, session in enumerate(sessions)]  # noqa: S311
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit(f"pages failed: {errors[:5]}")
    return times


def percentile(values: list[float], share: int) -> float:
    """The value that ``share`` percent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def measure_pages_and_neighbours(stack: Stack) -> tuple[dict[str, list[float]], float]:
    """The pages' seconds, and which share of the machine other programs had meanwhile."""
    neighbours = Neighbours([child.process.pid for child in (stack.console, stack.agent) if child])
    return measure_pages(stack), neighbours.share()


def page_table(times: dict[str, list[float]], others: float) -> str:
    """One row a page."""
    rows = [
        f"## The console with {VIRTUAL:,} virtual × {REAL} real servers, {CLIENTS} browsers at once",
        "",
        f"Goal: any page within {PAGE_GOAL_S * 1000:.0f} ms at the 95th percentile.",
        f"Other programs had {others:.0%} of the machine's processors meanwhile.",
        "",
        "| page | requests | median | 95th percentile | goal |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for page in PAGES:
        values = times[page]
        high = percentile(values, 95)
        met = "met" if high <= PAGE_GOAL_S else "**missed**"
        rows.append(f"| `{page}` | {len(values)} | {statistics.median(values) * 1000:.0f} ms | {high * 1000:.0f} ms | {met} |")
    return "\n".join(rows)


def wait_for_checks(stack: Stack) -> None:
    """Until every real server has been checked once."""

    def all_up() -> bool:
        state = stack.agent_client.state(per_page=VIRTUAL)
        return state.config.in_step and sum(one.up for one in state.virtual_servers) == VIRTUAL * REAL

    until(all_up, 240, "not all real servers came up")


def measure_accepts(stack: Stack) -> list[float]:
    """Seconds from the POST of an ACCEPT until a request through the VIP is answered according to it.

    The virtual server is deactivated and activated in turns: the data plane refuses connections, or answers.
    """
    session = stack.session()
    times = []
    for turn in range(ACCEPTS):
        wanted = turn % 2 == 1
        page = read_page(session.get("/virtual-servers/http/virtual-server").text)
        form = next(form for form in page.forms if ("action", "toggle") in form.buttons)
        since = perf_counter()
        answer = session.post(form.action.removeprefix("http://console"), {**form.fields, "action": "toggle"})
        if answer.status not in {302, 303}:
            raise SystemExit(f"the ACCEPT was refused: {answer.status}")
        while _answers(stack.offset + 80) is not wanted:
            if perf_counter() - since > 5:
                raise SystemExit("the change never reached the data plane")
        times.append(perf_counter() - since)
    return times


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((cluster.VIP, port), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.")
    except OSError:
        return False


def accept_table(times: list[float]) -> str:
    """The one row."""
    high = percentile(times, 95)
    met = "met" if high <= ACCEPT_GOAL_S else "**missed**"
    return "\n".join(
        (
            "## From ACCEPT to the data plane, in the tutorial's cluster",
            "",
            "From the POST until a connection to the virtual server meets the change.",
            f"Goal: {ACCEPT_GOAL_S * 1000:.0f} ms at the 95th percentile.",
            "",
            "| accepts | median | 95th percentile | longest | goal |",
            "| ---: | ---: | ---: | ---: | --- |",
            f"| {len(times)} | {statistics.median(times) * 1000:.0f} ms | {high * 1000:.0f} ms | {max(times) * 1000:.0f} ms | {met} |",
        )
    )


def main() -> int:
    """Both tables."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    say(f"console: {VIRTUAL} virtual servers")
    with real_servers(), running_stack(large_lvs_cf()) as stack:
        wait_for_checks(stack)
        print(page_table(*measure_pages_and_neighbours(stack)))
    print()
    say("console: accepts in the tutorial's cluster")
    port = cluster.next_free(cluster.REAL_SERVERS.values(), REAL_PORT)
    with contextlib.ExitStack() as servers:
        for name, address in cluster.REAL_SERVERS.items():
            servers.enter_context(web_server(name, address, port))
        lvs_cf = cluster.first_lvs_cf(port).replace(" active = 0", " active = 1")
        with running_stack(lvs_cf, agent_keys="confirm_share = 1\n") as stack:  # else taking all out is asked about first
            until(lambda: _answers(stack.offset + 80), 20, "the virtual server never answered")
            print(accept_table(measure_accepts(stack)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
