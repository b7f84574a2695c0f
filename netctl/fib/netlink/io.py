"""What every rtnetlink socket needs: to be opened, and to be asked for all there is of something."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

from netctl.fib import wire
from netctl.model.errors import EnvironmentLackError

RECEIVE_BYTES = 256 * 1024
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_SO_RCVBUFFORCE = 33
_DUMP_ATTEMPTS = 5


def open_netlink(buffer_bytes: int) -> socket.socket:
    """A bound socket with a receive buffer of that size (less where not privileged)."""
    try:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot open a netlink socket: {error.strerror}", "allow AF_NETLINK (RestrictAddressFamilies= in the unit)"
        ) from error
    try:
        made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
    except PermissionError:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
        made.setsockopt(_SOL_NETLINK, option, 1)
    made.bind((0, 0))
    return made


def ask(on: socket.socket, number: Callable[[], int], request: Callable[[int], bytes]) -> list[wire.Message]:
    """All messages of a dump, asked again (a few times) when the kernel says that it changed meanwhile. ``number``
    gives a sequence number that is not in use."""
    for _ in range(_DUMP_ATTEMPTS):
        answers = [message for buffer in dump(on, number(), request) for message in wire.messages(buffer)]
        if not any(message.flags & wire.NLM_F_DUMP_INTR for message in answers):
            break
    return [message for message in answers if message.kind != wire.NLMSG_DONE]


def dump(on: socket.socket, sequence: int, request: Callable[[int], bytes]) -> Iterator[bytes]:
    """The raw answers of a dump, NLMSG_DONE included. Raises OSError when the request is refused."""
    on.send(request(sequence))
    while True:
        buffer = on.recv(RECEIVE_BYTES)
        first = next(wire.messages(buffer))
        if first.sequence != sequence:  # the rest of a dump that nobody read to its end
            continue
        if first.kind == wire.NLMSG_ERROR:
            _, number, text = wire.error(first)
            raise OSError(number, text or os.strerror(number))
        yield buffer
        if first.kind == wire.NLMSG_DONE or wire.ends_dump(buffer, sequence):
            return
