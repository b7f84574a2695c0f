"""How a VM of the lab registers: its entry is in etcd, under a lease, for as long as this program runs.

``python -m netctl.lab.registrar --endpoint URL --service orders --instance a-vm1 --address 10.1.1.10 --port http=80
--cloud a`` puts ``/vm/orders/a-vm1`` and keeps the lease alive. While etcd is away it keeps trying, and registers anew
when its lease is gone. It does not put the key again merely because somebody has deleted it. SIGTERM: the lease is
revoked, so that the entry goes at once; killed: it goes when the lease ends. One line for each event.

Imports only the standard library: there is one for every service of every VM, and the lab starts them all at once.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

ANSWER_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class Registration:
    """``value`` is the entry as JSON."""

    endpoint: str
    key: str
    value: bytes
    ttl_s: int = 5


def parse(argv: Sequence[str] | None = None) -> Registration:
    """The command line. Ends the program with a message when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m netctl.lab.registrar", description="Registers a VM in etcd.")
    parser.add_argument("--endpoint", required=True, help="etcd's client URL (http)")
    parser.add_argument("--prefix", default="/vm/")
    for name in ("--service", "--instance", "--address", "--cloud"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", action="append", required=True, metavar="NAME=NUMBER", type=_port)
    parser.add_argument("--ttl", type=int, default=5, help="seconds that the entry outlives this program when killed")
    given = parser.parse_args(argv)
    if given.ttl < 1:
        parser.error("--ttl must be at least 1")
    if urlsplit(given.endpoint).scheme != "http":
        parser.error("--endpoint must be http://HOST:PORT")
    entry = {"address": given.address, "ports": dict(given.port), "cloud": given.cloud}
    key = f"{given.prefix}{given.service}/{given.instance}"
    return Registration(given.endpoint, key, json.dumps(entry).encode(), given.ttl)


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=NUMBER")
    return name, int(number)


class Registrar:
    """``keep`` is one step, to be called again after what it returns; ``leave`` ends the registration."""

    def __init__(self, registration: Registration) -> None:
        self._registration = registration
        self._address = urlsplit(registration.endpoint).netloc
        self._lease = ""
        self._pause_s = FIRST_PAUSE_S
        self._trouble = ""

    def keep(self) -> float:
        """Register, or keep the lease alive. Returns the seconds until the next step; never raises for etcd's sake."""
        try:
            if self._lease and not self._kept_alive():
                _say(f"lease {self._lease} is gone, registering again")
                self._lease = ""
            if not self._lease:
                self._register()
            elif self._trouble:
                _say("etcd answers again, the lease is still there")
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            if (trouble := str(error) or type(error).__name__) != self._trouble:
                self._trouble = trouble
                _say(f"etcd {self._registration.endpoint}: {trouble}")
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
            return pause_s
        self._pause_s, self._trouble = FIRST_PAUSE_S, ""
        return self._registration.ttl_s / 3

    def leave(self) -> None:
        """Revoke the lease; when etcd does not answer, it ends by itself."""
        if self._lease:
            with suppress(OSError, HTTPException, ValueError):
                self._ask("lease/revoke", {"ID": self._lease})
                _say(f"left {self._registration.key}")

    def _register(self) -> None:
        wanted = self._registration
        lease = str(self._ask("lease/grant", {"TTL": wanted.ttl_s})["ID"])
        self._ask("kv/put", {"key": _base64(wanted.key.encode()), "value": _base64(wanted.value), "lease": lease})
        self._lease = lease
        _say(f"registered {wanted.key} (lease {lease}, {wanted.ttl_s} s)")

    def _kept_alive(self) -> bool:
        # A lease that is gone has no TTL in the answer.
        return int(self._ask("lease/keepalive", {"ID": self._lease})["result"].get("TTL", 0)) > 0

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to the JSON gateway of etcd 3.4 or later, on a connection of its own."""
        connection = HTTPConnection(self._address, timeout=ANSWER_S)
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(
                f"{path} is answered with {answer.status}: {said[:200].decode('utf-8', 'replace').strip()}"
            )
        reply = json.loads(said)
        return reply if isinstance(reply, dict) else {}


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    registrar = Registrar(parse())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        while True:
            time.sleep(registrar.keep())
    finally:
        registrar.leave()


if __name__ == "__main__":
    main()
