"""An lvs.cf that somebody begins to write and keeps open: waited for, said after a while, taken as it stands by who asks for that."""

from __future__ import annotations

from pathlib import Path

from lvsagent.adapters.clock import SystemClock
from lvsagent.adapters.file_watch import FileWatch
from lvsagent.lvsd.unfinished import LONG_S
from tests.integration.lvsd_lab import TUTORIAL, running

BETTER = TUTORIAL.replace("serial_no = 1", "serial_no = 2").replace("scheduler = rr", "scheduler = wlc")


class Later(SystemClock):
    """The host's clock, and later."""

    later_s = 0.0

    def now(self) -> float:
        return super().now() + self.later_s


async def test_an_lvs_cf_that_is_held_open_is_waited_for_and_after_a_while_said(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        clock = Later()
        lab.director.lvs_cf.unfinished._clock = clock
        watch = FileWatch(lab.lvs_cf, lambda: None)
        lab.director.lvs_cf.being_written = watch.being_written

        async def codes() -> list[str]:
            await lab.director.step()
            return [alert.code for alert in (await lab.ask(lab.client.state)).alerts if alert.code.startswith("config")]

        with lab.lvs_cf.open("w") as file:
            file.write(BETTER[:200])
            file.flush()
            assert await codes() == []
            clock.later_s = LONG_S + 1
            assert await codes() == ["config-unfinished"]
            assert await codes() == ["config-unfinished"]
            file.write(BETTER[200:])
        assert await codes() == []
        assert lab.director.running.file.data == BETTER.encode()
        told = [event.message for event in lab.director.events.page(20) if "keeps it open" in event.message]
        assert len(told) == 1
        assert f"fuser -v {lab.lvs_cf}" in told[0]
        watch.close()


async def test_an_lvs_cf_that_is_held_open_is_taken_as_it_stands_by_who_asks_for_that(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        lab.director.lvs_cf.being_written = lambda: True
        lab.lvs_cf.write_text(BETTER)
        await lab.director.step()
        assert lab.director.running.file.data == TUTORIAL.encode()
        await lab.director.look_at_disk(again=True)
        assert lab.director.running.file.data == BETTER.encode()
