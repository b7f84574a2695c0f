"""Root qdiscs over rtnetlink: messages as bytes (linux/rtnetlink.h, linux/pkt_sched.h). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from netctl.fault.faults import Qdisc
from netctl.model.errors import RefusedError
from netctl.model.netns import netlink

RTM_NEWQDISC = 36
RTM_DELQDISC = 37
RTM_GETQDISC = 38
_TCMSG = struct.Struct("=BxxxiIII")  # family, interface index, handle, parent, info
_TCA_KIND = 1
_TCA_OPTIONS = 2
_ROOT = 0xFFFFFFFF
_INGRESS = 0xFFFFFFF1

OUR_HANDLE = 0x6E7C0000
"""Major 6e7c marks a qdisc as netctl's: nothing else is ever removed."""
CREATE_FLAGS = netlink.NLM_F_ACK | netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE


def query() -> bytes:
    """Body of a dump of every qdisc in the namespace."""
    return _TCMSG.pack(0, 0, 0, 0, 0)


def blackhole(index: int) -> bytes:
    """Body that puts our blackhole at the root of interface ``index``."""
    return _TCMSG.pack(0, index, OUR_HANDLE, _ROOT, 0) + netlink.attribute(_TCA_KIND, b"blackhole\0")


def removal(index: int) -> bytes:
    """Body that removes the root qdisc; the kernel puts its default there."""
    return _TCMSG.pack(0, index, 0, _ROOT, 0)


def recreation(index: int, before: Qdisc) -> bytes:
    """Body that puts back the qdisc that was there."""
    body = _TCMSG.pack(0, index, before.handle, _ROOT, 0) + netlink.attribute(_TCA_KIND, before.kind.encode() + b"\0")
    return body if before.options is None else body + netlink.attribute(_TCA_OPTIONS, before.options)


def roots(answers: Iterable[tuple[int, bytes]]) -> dict[int, Qdisc]:
    """Interface index → its root qdisc, from a dump."""
    return {index: qdisc for index, parent, qdisc in _parsed(answers) if parent == _ROOT}


def restorable(answers: Iterable[tuple[int, bytes]], index: int, where: str) -> Qdisc:
    """The root qdisc of ``index`` as something that can be put back. Raises RefusedError when it has classes."""
    root = Qdisc("noqueue", 0, None)
    for at, parent, qdisc in _parsed(answers):
        if at != index:
            continue
        if parent == _ROOT:
            root = qdisc
        elif parent != _INGRESS and root.handle:
            raise RefusedError(
                f"{where}: its qdisc {root.kind} has others below it, which a cut would lose",
                f"remove them first: tc qdisc show dev {where.rpartition(':')[2]}",
            )
    return Qdisc("noqueue", 0, None) if is_ours(root) else root


def is_ours(qdisc: Qdisc | None) -> bool:
    return qdisc is not None and qdisc.kind == "blackhole" and qdisc.handle == OUR_HANDLE


def _parsed(answers: Iterable[tuple[int, bytes]]) -> Iterable[tuple[int, int, Qdisc]]:
    for kind, body in answers:
        if kind != RTM_NEWQDISC or len(body) < _TCMSG.size:
            continue
        _family, index, handle, parent, _info = _TCMSG.unpack_from(body)
        attributes = netlink.attributes(body, _TCMSG.size)
        name = attributes.get(_TCA_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
        yield index, parent, Qdisc(name, handle, attributes.get(_TCA_OPTIONS))
