"""What the benchmark says and asks by itself: changes to etcd, questions to CoreDNS. Plain sockets, no event loop."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

PAUSE_S = 0.0005
"""Between an answer that is still the old one and the next question."""
_RESEND_S = 0.05
_EDNS = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
MOST_ADDRESSES = 70
"""More do not fit into an answer over UDP."""


class Registry:
    """etcd's JSON gateway over one connection. ``send`` does not wait for the answer; ``hear`` does."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=10)
        self._connection.connect()

    def send(self, key: str, value: bytes | None) -> None:
        """Put, or delete (None)."""
        verb, body = ("deleterange", {"key": _b64(key)}) if value is None else ("put", _put(key, value))
        self._request(verb, body)

    def hear(self) -> None:
        """The answer to what was sent."""
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"etcd: {answer.status} {body[:300]!r}")

    def put_all(self, entries: Mapping[str, bytes]) -> None:
        """Many keys, in transactions of as many as etcd allows (128)."""
        puts = [{"request_put": _put(key, value)} for key, value in entries.items()]
        for start in range(0, len(puts), 128):
            self._request("txn", {"success": puts[start : start + 128]})
            self.hear()

    def _request(self, verb: str, body: dict[str, Any]) -> None:
        self._connection.request("POST", f"/v3/kv/{verb}", json.dumps(body), {"Content-Type": "application/json"})


class Asker:
    """Asks a name server for A records over UDP, again and again."""

    def __init__(self, server: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((server, 53))
        self._socket.settimeout(_RESEND_S)
        self._id = 0

    def until(self, name: str, there: Iterable[str], not_there: str, number: int, within_s: float) -> int:
        """Ask until the answer has ``number`` addresses, ``there`` among them and ``not_there`` ("": none) not; when
        that answer came, in monotonic ns. Raises TimeoutError."""
        wanted, unwanted = [_record(address) for address in there], _record(not_there) if not_there else None
        deadline_ns = time.monotonic_ns() + int(within_s * 1e9)
        while True:
            answer = self._ask(name)
            now_ns = time.monotonic_ns()
            is_whole = answer[6:8] == number.to_bytes(2) and all(record in answer for record in wanted)
            if is_whole and (unwanted is None or unwanted not in answer):
                return now_ns
            if now_ns > deadline_ns:
                raise TimeoutError(f"{name} does not answer as it should within {within_s:g} s")
            time.sleep(PAUSE_S)

    def _ask(self, name: str) -> bytes:
        """The answer as it came; empty: there was none."""
        self._id = (self._id + 1) & 0xFFFF
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        # one question, recursion desired, EDNS with 1232 bytes
        query = struct.pack("!6H", self._id, 0x0100, 1, 0, 0, 1) + labels + b"\0\0\1\0\1" + _EDNS
        try:
            self._socket.send(query)
            answer = self._socket.recv(4096)
            while answer[:2] != query[:2]:
                answer = self._socket.recv(4096)
        except (TimeoutError, ConnectionRefusedError):
            return b""
        return answer


def _record(address: str) -> bytes:
    """Length and data of its A record."""
    return b"\0\4" + socket.inet_aton(address)


def _put(key: str, value: bytes) -> dict[str, str]:
    return {"key": _b64(key), "value": base64.b64encode(value).decode()}


def _b64(key: str) -> str:
    return base64.b64encode(key.encode()).decode()
