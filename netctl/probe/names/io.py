"""Ask a name server over UDP and fetch a page over TCP, each from a node's network namespace."""

from __future__ import annotations

import asyncio
import errno
import itertools
import random
import socket
from collections.abc import Callable

from netctl.model.errors import EnvironmentLackError
from netctl.model.netns.io import namespace_path, network_namespace
from netctl.probe.names import wire
from netctl.probe.names.spec import Answer, Ending, Visit

_WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}
_IDS = 1 << 16
_RECEIVE_AT_ONCE = 65_536


def open_socket(node: str, kind: socket.SocketKind) -> socket.socket:
    """A socket of that node (empty: of this process's own namespace). Raises EnvironmentLackError: no such node."""
    path = namespace_path(node) if node else None
    try:
        with network_namespace(path):
            return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except FileNotFoundError:
        raise EnvironmentLackError(f"there is no node {node} ({path})", "netctl lab status") from None


def in_a_word(error: OSError) -> str:
    return _WORDS.get(error.errno or 0, "unreachable")


class Resolver:
    """One node's questions to one name server, over one socket; answers find their question by id and name."""

    def __init__(self, node: str, server: str, port: int) -> None:
        self._socket = open_socket(node, socket.SOCK_DGRAM)
        self._socket.connect((server, port))
        self._ids = itertools.count(random.randrange(_IDS))
        self._pending: dict[int, tuple[bytes, Callable[[Answer], None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._receive)

    def ask(self, asked: bytes, timeout_s: float, told: Callable[[Answer], None]) -> None:
        """``told`` is called once: with the answer, or with why there is none."""
        identifier = next(self._ids) % _IDS
        self._pending[identifier] = asked, told
        self._loop.call_later(timeout_s, self._tell, identifier, Answer("timeout"))
        try:
            self._socket.send(wire.query(identifier, asked))
        except OSError as error:
            self._tell(identifier, Answer(in_a_word(error)))

    def _receive(self) -> None:
        while True:
            try:
                data = self._socket.recv(_RECEIVE_AT_ONCE)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error does not say which question it means
                for identifier in list(self._pending):
                    self._tell(identifier, Answer(in_a_word(error)))
                return
            identifier = int.from_bytes(data[:2])
            waiting = self._pending.get(identifier)
            heard = wire.answer(data, waiting[0]) if waiting else None
            if heard is not None:
                self._tell(*heard)

    def _tell(self, identifier: int, answer: Answer) -> None:
        waiting = self._pending.pop(identifier, None)
        if waiting is not None:
            waiting[1](answer)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()


async def pay(visit: Visit, resolver: Resolver, asked: bytes, timeout_s: float) -> Ending:
    """One visit from resolving to reading, bounded by ``timeout_s``."""
    address = ""
    try:
        async with asyncio.timeout(timeout_s):
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            resolver.ask(asked, timeout_s, lambda answer: None if future.done() else future.set_result(answer))
            answer = await future
            if not answer.usable:
                nothing = {"NOERROR": "no address", "timeout": "no answer"}
                return Ending(nothing.get(answer.rcode, answer.rcode))
            address = random.choice(answer.addresses)
            page = await _fetch(visit, address)
            return Ending(page.what, address, page.who, page.cloud)
    except TimeoutError:
        return Ending("timeout" if address else "no answer", address)
    except OSError as error:
        return Ending(in_a_word(error), address)


async def _fetch(visit: Visit, address: str) -> Ending:
    loop = asyncio.get_running_loop()
    with open_socket(visit.node, socket.SOCK_STREAM) as link:
        await loop.sock_connect(link, (address, visit.port))
        await loop.sock_sendall(link, wire.request(visit.host))
        received = b""
        while True:
            data = await loop.sock_recv(link, _RECEIVE_AT_ONCE)
            received += data
            if (ending := wire.page(received, not data)) is not None:
                return ending
