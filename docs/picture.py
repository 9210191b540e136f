"""``make picture``: docs/console-light.png and console-dark.png, from the real console with real traffic; and the doctor's two.

One real server is stopped on purpose, so that the picture shows what a fault looks like.  What the doctor sees is invented: a
demonstration has no real servers that answer for themselves.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic

from lvsagent.core.packets import Answer
from lvsagent.core.patients import Heard, Seen
from tests.browser.chromium import running_chromium
from tests.browser.conftest import Demo, activate_everything, running_demo
from tests.browser.served import serving
from tests.fakes.agent import TUTORIAL, FakeAgent
from tests.unit.app.conftest import PASSWORD
from tests.waiting import until

HERE = Path(__file__).parent
TRAFFIC_S = 75
WIDTH, HEIGHT = 1400, 1000


def main() -> int:
    """All pictures; with the argument ``doctor`` that one alone."""
    photograph_doctor()
    if "doctor" in sys.argv[1:]:
        return 0
    with running_demo(activate_everything) as demo:
        until(lambda: demo.answers() and len(demo.ask(9)) == 3, 20, "the cluster never came up")
        print(f"traffic for {TRAFFIC_S} s …", file=sys.stderr)
        traffic(demo.virtual_url, TRAFFIC_S)
        demo.kill("number3")
        still_asking = threading.Thread(target=traffic, args=(demo.virtual_url, 15))
        still_asking.start()
        threading.Event().wait(6)
        photograph(demo)
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


def photograph(demo: Demo) -> None:
    """CONTROL/MONITORING by day and by night."""
    with running_chromium() as browser:
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})  # type: ignore[arg-type]  # both are schemes
            page = context.new_page()
            page.goto(demo.console_url)
            page.get_by_label("Password").fill(demo.password)
            page.get_by_role("button", name="Log in").click()
            page.locator("#routing").get_by_text("number3", exact=True).wait_for()
            page.screenshot(path=HERE / f"console-{scheme}.png")
            context.close()


def photograph_doctor() -> None:
    """DOCTOR with one real server that lacks the virtual address."""
    agent = FakeAgent(text=TUTORIAL.replace("network = nat", "network = direct"), wall=time.time)
    silent = Heard(Answer.SILENCE)
    agent.room.sights["number2"] = Seen(service=silent, ping=silent, mtu=1500, room=1500, director="10.11.12.11")
    with tempfile.TemporaryDirectory() as folder, serving(agent, Path(folder)) as served, running_chromium() as browser:
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport={"width": WIDTH, "height": HEIGHT})  # type: ignore[arg-type]  # both are schemes
            page = context.new_page()
            page.goto(f"{served.url}/login?next=/virtual-servers/http/doctor")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.get_by_role("button", name="LOOK NOW").click()
            page.get_by_role("heading", name="number2").wait_for()
            page.screenshot(path=HERE / f"doctor-{scheme}.png")
            context.close()


if __name__ == "__main__":
    sys.exit(main())
