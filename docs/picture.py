"""``make picture``: docs/console-light.png and console-dark.png, from the real console with real traffic.

One real server is stopped on purpose, so that the picture shows what a fault looks like.
"""

from __future__ import annotations

import contextlib
import random
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic

from deploy.demo import cluster
from tests.browser.chromium import running_chromium
from tests.stack import PASSWORD, running_stack, web_server
from tests.waiting import until

HERE = Path(__file__).parent
TRAFFIC_S = 75
WIDTH, HEIGHT = 1400, 1000


def main() -> int:
    """Both pictures."""
    port = cluster.next_free(cluster.REAL_SERVERS.values(), cluster.USUAL_WEB_PORT)
    lvs_cf = cluster.first_lvs_cf(port).replace(" active = 0", " active = 1")
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(contextlib.ExitStack()).enter_context(web_server(name, address, port))
            for name, address in cluster.REAL_SERVERS.items()
        }
        running = stack.enter_context(running_stack(lvs_cf))
        until(lambda: running.agent_client.state().virtual_servers[0].up == 3, 20, "the cluster never came up")
        print(f"traffic for {TRAFFIC_S} s …", file=sys.stderr)
        url = f"http://{cluster.VIP}:{cluster.VIRTUAL_PORT + running.offset}/"
        traffic(url, TRAFFIC_S)
        servers["number3"].process.kill()
        until(lambda: running.agent_client.state().virtual_servers[0].up == 2, 20, "number3 never went down")
        still_asking = threading.Thread(target=traffic, args=(url, 15))
        still_asking.start()
        threading.Event().wait(6)
        photograph(running.console_url)
        still_asking.join()
    return 0


def traffic(url: str, duration_s: float) -> None:
    """Uneven requests, so that the small curves have something to show."""
    end, dice = monotonic() + duration_s, random.Random(1)  # noqa: S311 -- a picture is not a secret
    tick = threading.Event()
    while monotonic() < end:
        for _ in range(dice.randint(1, 6)):
            with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
                answer.read()
        tick.wait(dice.uniform(0.02, 0.2))


def photograph(console_url: str) -> None:
    """CONTROL/MONITORING by day and by night."""
    with running_chromium() as browser:
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})  # type: ignore[arg-type]  # both are schemes
            page = context.new_page()
            page.goto(console_url)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.locator("#routing").get_by_text("number3", exact=True).wait_for()
            page.screenshot(path=HERE / f"console-{scheme}.png")
            context.close()


if __name__ == "__main__":
    sys.exit(main())
