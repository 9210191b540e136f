"""The same pair of directors run by keepalived, for figures side by side: same addresses, same table, the interval as given."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.kernel import cluster as lab
from tests.kernel import net, two_directors
from tests.waiting import until

LIMIT_S = 30.0


def config(name: str, advert_s: float) -> str:
    """keepalived.conf of one of them; lefty is preferred."""
    priority = 150 if name == "lefty" else 100
    servers = "\n".join(f"  real_server {at} 80 {{ weight 1\n }}" for at in lab.ADDRESSES.values())
    return f"""\
global_defs {{
 vrrp_version 3
 vrrp_garp_master_delay 1
}}
vrrp_instance service {{
 state BACKUP
 nopreempt
 interface eth1
 virtual_router_id 51
 priority {priority}
 advert_int {advert_s:g}
 virtual_ipaddress {{
  {lab.VIP}/24 dev eth1 label eth1:1
  {lab.NAT_ROUTER}/24 dev eth0 label eth0:1
 }}
}}
virtual_server {lab.VIP} 80 {{
 lb_algo rr
 lb_kind NAT
 protocol TCP
{servers}
}}
"""


class Keepalived:
    """One director's keepalived."""

    def __init__(self, name: str, advert_s: float) -> None:
        self.director = name
        self.folder = Path(tempfile.mkdtemp(prefix="keepalived-", dir="/run/tmp"))
        (self.folder / "conf").write_text(config(name, advert_s))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["keepalived", "-n", "-f", "conf", "-p", "main.pid", "-r", "vrrp.pid", "-c", "checkers.pid"]
        with net.namespace(self.director):
            self._process = subprocess.Popen(
                command, cwd=self.folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

    def kill_all(self) -> None:
        """kill -9 of every process; the children first, because they would say goodbye when their parent dies."""
        if self._process is None:
            return
        for name in ("vrrp.pid", "checkers.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((self.folder / name).read_text()), signal.SIGKILL)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        for name in ("main.pid", "vrrp.pid", "checkers.pid"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class KeepalivedPair:
    """Both."""

    def __init__(self, advert_s: float) -> None:
        self.lefty, self.righty = (Keepalived(name, advert_s) for name in two_directors.DIRECTORS)

    def __iter__(self) -> Iterator[Keepalived]:
        return iter((self.lefty, self.righty))

    def settle(self) -> None:
        """Wait until the addresses are on exactly one and both tables are made."""
        until(lambda: len(two_directors.holders(lab.VIP)) == 1, LIMIT_S)
        until(lambda: all(self._table_made(director.director) for director in self), LIMIT_S)

    @property
    def active(self) -> Keepalived:
        [name] = two_directors.holders(lab.VIP)
        return self.lefty if name == "lefty" else self.righty

    def close(self) -> None:
        for director in self:
            director.close()

    @staticmethod
    def _table_made(name: str) -> bool:
        with net.namespace(name):
            return Path("/proc/thread-self/net/ip_vs").read_text().count("  -> ") == len(lab.NUMBERS) + 1


@contextlib.contextmanager
def running(advert_s: float) -> Iterator[KeepalivedPair]:
    """Both at work; nothing of them afterwards."""
    both = KeepalivedPair(advert_s)
    try:
        for director in both:
            director.start()
        both.settle()
        yield both
    finally:
        both.close()
