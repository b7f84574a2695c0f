"""DNS questions and answers for A records (RFC 1035), and the lab's page over HTTP/1.1. Pure."""

from __future__ import annotations

import re
import struct

from netctl.model.errors import UsageError
from netctl.probe.names.spec import Answer, Ending

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data
_A, _IN = 1, 1
_RECURSION_DESIRED = 0x0100
_RESPONSE, _TRUNCATED, _RCODE = 0x8000, 0x0200, 0x000F
_RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_LABEL_MAX = 63
_POINTER = 0xC0
_OPT = b"\0\0\x29\x04\xd0" + bytes(6)  # EDNS (RFC 6891), 1232 bytes

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAGE = re.compile(rb"(\S+) in cloud (\S+) answers")


def question(host: str) -> bytes:
    """The question section for ``host``'s A records. Raises UsageError for what is no name."""
    labels = host.rstrip(".").encode("ascii", "replace").split(b".")
    if not all(0 < len(label) <= _LABEL_MAX for label in labels):
        raise UsageError(f"{host!r} is no host name", "labels of up to 63 characters, joined by dots")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0" + struct.pack("!HH", _A, _IN)


def query(identifier: int, asked: bytes) -> bytes:
    """A whole query message; ``asked`` is from ``question``."""
    return _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 1) + asked + _OPT


def answer(message: bytes, asked: bytes) -> tuple[int, Answer] | None:
    """(id, answer) of a response to that question; None: it is none, or broken."""
    try:
        identifier, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        end = _HEADER.size + len(asked)
        echoed = message[_HEADER.size : end]
        if not flags & _RESPONSE or questions != 1 or echoed.lower() != asked.lower():
            return None
        addresses = _addresses(message, end, answers)
    except (struct.error, IndexError):
        return None
    rcode = _RCODES.get(flags & _RCODE, f"RCODE {flags & _RCODE}")
    if flags & _TRUNCATED and not addresses:
        rcode = "truncated"
    return identifier, Answer(rcode, tuple(sorted(addresses)))


def _addresses(message: bytes, at: int, records: int) -> list[str]:
    found = []
    for _ in range(records):
        while length := message[at]:  # the owner's name: labels, or a pointer to them
            if length >= _POINTER:
                at += 1
                break
            at += 1 + length
        kind, klass, _ttl, size = _RECORD.unpack_from(message, at + 1)
        at += 1 + _RECORD.size
        if kind == _A and klass == _IN and size == 4:
            found.append(".".join(map(str, message[at : at + 4])))
        at += size
    return found


def request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: netctl-probe\r\nConnection: close\r\n\r\n".encode()


def page(received: bytes, ended: bool) -> Ending | None:
    """How the visit ended by what was received; None: more has to come. ``ended``: the other side has closed."""
    head, blank, body = received.partition(b"\r\n\r\n")
    status = _STATUS.match(head)
    length = _LENGTH.search(head)
    whole = bool(blank) and (len(body) >= int(length[1]) if length else ended)
    if not whole or status is None:
        return Ending("closed") if ended else None
    if status[1] != b"200":
        return Ending(f"HTTP {status[1].decode()}")
    told = _PAGE.match(body)
    who, cloud = (told[1].decode("ascii", "replace"), told[2].decode("ascii", "replace")) if told else ("", "")
    return Ending("ok", "", who, cloud)
