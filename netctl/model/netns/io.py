"""Enter a network namespace for a moment; one request, one answer over rtnetlink inside it."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netctl.model.errors import EnvironmentLackError
from netctl.model.netns import netlink

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def network_namespace(path: str | None) -> Iterator[None]:
    """Run the block in the network namespace at ``path`` (None: stay); this thread alone moves.

    Raises FileNotFoundError when there is none, EnvironmentLackError when it may not be entered.
    """
    if path is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there, path)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home, "the namespace it came from")
    finally:
        os.close(home)


def _setns(descriptor: int, name: str) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise EnvironmentLackError(
            f"cannot enter network namespace {name}: {reason}", "it needs CAP_SYS_ADMIN there: run it inside the lab"
        )


class Rtnetlink:
    """A blocking rtnetlink socket that lives in one namespace."""

    def __init__(self, path: str | None) -> None:
        with network_namespace(path):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(2.0)
        self._sequence = 0

    def request(self, kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
        """Send one request; the answers as (type, body) up to its acknowledgement or the end of the dump.

        Raises OSError with the kernel's errno (also ETIMEDOUT after 2 s without an answer).
        """
        self._sequence += 1
        single = not flags & netlink.NLM_F_DUMP and not flags & netlink.NLM_F_ACK
        self._socket.send(netlink.message(kind, flags | netlink.NLM_F_REQUEST, self._sequence, body))
        answers: list[tuple[int, bytes]] = []
        while True:
            for answer, sequence, payload in netlink.messages(self._socket.recv(1 << 17)):
                if sequence != self._sequence:
                    continue
                if answer == netlink.NLMSG_ERROR:
                    if code := netlink.error_code(payload):
                        raise OSError(code, os.strerror(code))
                    return answers
                if answer == netlink.NLMSG_DONE:
                    return answers
                answers.append((answer, payload))
            if single and answers:
                return answers

    def close(self) -> None:
        self._socket.close()


def namespace_path(node: str) -> str:
    """Where a node's network namespace is found inside a lab."""
    return str(Path("/run/netns") / node)
