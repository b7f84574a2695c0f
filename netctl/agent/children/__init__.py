"""The programs beside the agent: their names, commands, sockets, and what of the gateway file each depends on.

``shell`` starts, finds and ends them. A child outlives the agent; the next agent finds it by its socket and by the
pid file ``NAME.pid`` ({pid, started}), so that there are never two speakers for one peer. A speaker is two processes:
``NAME.pid`` is ExaBGP's, and the relay, which holds the socket, writes a file of its own. ``silence`` knows which of
those that are connected are stuck.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import msgspec

from netctl.model.gateway import Gateway, Peer, relay_pid_file

GATEWAY_FILE = "gateway.json"
AGENT_SOCKET = "agent.sock"
LONGEST_SOCKET_PATH = 107
"""sockaddr_un.sun_path is 108 bytes with its closing zero (linux/un.h)."""


class PidRecord(msgspec.Struct, frozen=True):
    """The pid file. ``pid`` 0: a start was begun and its outcome is not known."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Child:
    """One program: ``peer`` is None for liveness."""

    name: str
    peer: str | None
    argv: tuple[str, ...]
    socket: str
    log_path: str

    @property
    def pid_file(self) -> str:
        return f"{self.name}.pid"

    @property
    def pid_files(self) -> tuple[str, ...]:
        """Of all of its processes, the one that the agent starts first."""
        return (self.pid_file,) if self.peer is None else (self.pid_file, relay_pid_file(self.peer))


def children_of(gateway: Gateway) -> tuple[Child, ...]:
    """Liveness first (it protects), then the speakers."""
    runtime = gateway.runtime_dir
    file = f"{runtime}/{GATEWAY_FILE}"

    def child(name: str, peer: str | None, *argv: str) -> Child:
        return Child(name, peer, (sys.executable, "-m", *argv), f"{runtime}/{name}.sock", f"{runtime}/log/{name}.log")

    speakers = (child(f"speaker-{p.name}", p.name, "netctl.speaker", file, p.name) for p in gateway.peers)
    return (child("liveness", None, "netctl.liveness", file), *speakers)


def changed_children(before: Gateway, after: Gateway) -> tuple[Child, ...]:
    """The children of ``before`` that have to end because what they depend on is different in ``after``, or because
    they have no place in it."""
    old = {peer.name: peer for peer in before.peers}
    new = {peer.name: peer for peer in after.peers}
    same_node = (before.asn, before.router_id) == (after.asn, after.router_id)
    same_members = {n: _liveness_part(p) for n, p in old.items()} == {n: _liveness_part(p) for n, p in new.items()}

    def unchanged(child: Child) -> bool:
        if child.peer is None:
            return same_members
        return same_node and child.peer in new and _speaker_part(old[child.peer]) == _speaker_part(new[child.peer])

    return tuple(child for child in children_of(before) if not unchanged(child))


def _liveness_part(peer: Peer) -> Peer:
    """What liveness does not look at, made equal."""
    return replace(peer, asn=0, hold_time_s=0, max_prefixes=0, weight=1)


def _speaker_part(peer: Peer) -> Peer:
    """What a speaker does not look at, made equal."""
    return replace(peer, bfd=None, weight=1, member_id=0)


def encode_gateway(gateway: Gateway) -> bytes:
    """The content of ``gateway.json``."""
    return msgspec.json.encode(gateway)


def decode_gateway(data: bytes | None) -> Gateway | None:
    """The gateway that wrote it; None when there is none or it cannot be read (another version, a torn disk)."""
    try:
        return msgspec.json.decode(data, type=Gateway) if data else None
    except msgspec.DecodeError:
        return None


def encode_pid(record: PidRecord) -> bytes:
    return msgspec.json.encode(record)


def decode_pid(data: bytes | None) -> PidRecord | None:
    """None when there is none or it is garbage."""
    try:
        return msgspec.json.decode(data, type=PidRecord) if data else None
    except msgspec.DecodeError:
        return None
