"""What a VM of the lab serves, and how one asks another. Imports only the standard library.

``python -I -S page.py serve NODE CLOUD PORT`` and ``python -I -S page.py get ADDRESS PORT`` (prints the page).
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer


class _Page(BaseHTTPRequestHandler):
    node = cloud = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """``/healthz`` says ok, every other path says who answers."""
        text = "ok\n" if self.path == "/healthz" else f"{self.node} in cloud {self.cloud} answers\n"
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        print(self.client_address[0], format % args, flush=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """The base class's 5 are full in a moment on a busy machine; who is turned away tries again a second later."""

    def server_bind(self) -> None:
        """Without the base class's look-up of the host's name, which would ask a name server that is not there."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _Page.node, self.server_address[1]


def serve(node: str, cloud: str, port: str) -> None:
    _Page.node, _Page.cloud = node, cloud
    with _Server(("0.0.0.0", int(port)), _Page) as server:
        server.serve_forever()


def get(address: str, port: str) -> None:
    """Print the page. Ends with the error in words (exit code 1) when there is none within 2 s."""
    connection = HTTPConnection(address, int(port), timeout=2)
    try:
        connection.request("GET", "/")
        sys.stdout.write(connection.getresponse().read().decode())
    except OSError as error:
        sys.exit(str(error))


def main(argv: list[str]) -> None:
    if argv[0] == "serve":
        serve(*argv[1:])
    else:
        get(*argv[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
