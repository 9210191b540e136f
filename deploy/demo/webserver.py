"""A web server that says its name: one real server of the demonstration.

``python deploy/demo/webserver.py NAME ADDRESS PORT``, from any folder.  It answers every GET and HEAD with its name.
"""

from __future__ import annotations

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from setproctitle import setproctitle

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>{name}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.25rem/1.5 system-ui, sans-serif; margin: 20vh auto; max-width: 30rem; padding: 1rem }}
</style>
<h1>{name}</h1>
<p>answered this request from {address}, port {port}. Reload the page: the next real server answers.
"""


class NameServer(ThreadingHTTPServer):
    """Listens at one real server's address; ``name`` is what it answers."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, name: str, address: str, port: int) -> None:
        self.name = name
        super().__init__((address, port), NameHandler)


class NameHandler(BaseHTTPRequestHandler):
    """The name as plain text, or as a page for a browser.  Every answer closes its connection, so that the next one is scheduled anew."""

    server: NameServer

    def do_GET(self) -> None:
        """The name."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """The name's headers."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: checks come every other second."""

    def _answer(self, *, with_body: bool) -> None:
        name = self.server.name
        if "text/html" in self.headers.get("Accept", ""):
            address, port = self.server.server_address[:2]
            kind, text = "text/html", PAGE.format(name=name, address=address, port=port)
        else:
            kind, text = "text/plain", f"{name}\n"
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    if len(sys.argv) != 4 or not sys.argv[3].isdecimal():
        print("usage: python deploy/demo/webserver.py NAME ADDRESS PORT", file=sys.stderr)
        return 2
    name, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    setproctitle(f"{name} (demonstration web server)")
    try:
        with NameServer(name, address, port) as server:
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(f"{name} cannot listen on {address}, port {port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
