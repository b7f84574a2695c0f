"""The relay's outside: ExaBGP at stdin and stdout, its configuration file, and what the kernel shows of its socket."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from netctl.bgp.render import render_exabgp
from netctl.model.errors import EnvironmentLackError, UsageError
from netctl.model.gateway import Gateway, Peer, relay_pid_file
from netctl.model.io import FileStore, process_started
from netctl.model.ports import ProcessId

_READ_SIZE = 1 << 20
_LONGEST_LINE = 16 << 20
_BACKLOG = 64 << 20
"""Bytes read from ExaBGP and not yet looked at; beyond it ExaBGP has to wait after all."""


def load(path: str, peer_name: str) -> tuple[Gateway, Peer]:
    """``gateway.json`` and the peer of that name. Raises UsageError."""
    try:
        gateway = msgspec.json.decode(Path(path).read_bytes(), type=Gateway)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "the agent writes it when it starts") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: {error}", "it is written by the agent; do not edit it") from None
    for peer in gateway.peers:
        if peer.name == peer_name:
            return gateway, peer
    names = ", ".join(peer.name for peer in gateway.peers)
    raise UsageError(f"{path} has no peer {peer_name!r}", f"its peers are {names or 'none'}")


def write_configuration(
    gateway: Gateway, peer: Peer, gateway_path: str, *, passive: bool = False, alternate: bool = False
) -> Path:
    """Write ``exabgp-PEER.conf`` into the runtime_dir, atomically. Raises EnvironmentLackError."""
    words = (sys.executable, "-m", "netctl.speaker.relay", str(Path(gateway_path).resolve()), peer.name)
    run = " ".join(f'"{word}"' for word in words)  # so that blanks in a path do no harm
    path = Path(gateway.runtime_dir) / f"exabgp-{peer.name}.conf"
    fresh = path.with_suffix(".conf.new")
    try:
        fresh.write_text(render_exabgp(gateway, peer, run, passive=passive, alternate=alternate), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise EnvironmentLackError(f"cannot write {path}: {error.strerror}", "who may write there?") from None
    return path


def record_relay(gateway: Gateway, peer: Peer) -> None:
    """Write down who holds the peer's socket, for whoever has to end a relay that is stuck and outlives its ExaBGP.
    What cannot be written is said on stderr."""
    me = ProcessId(os.getpid(), process_started(os.getpid()) or 0)
    try:
        FileStore(gateway.runtime_dir).write(relay_pid_file(peer.name), msgspec.json.encode(me))
    except EnvironmentLackError as error:
        print(f"{error.message}; {error.hint}", file=sys.stderr, flush=True)


class ExabgpPipes:
    """ExaBGP as seen by its helper: lines from stdin, commands to stdout, each on a thread of its own."""

    def __init__(self, gateway: Gateway, peer: Peer, gateway_path: str) -> None:
        self._gateway = gateway
        self._peer = peer
        self._gateway_path = gateway_path
        self._commands: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._backlog = 0

    def start(self, on_lines: Callable[[list[bytes] | None], None]) -> None:
        """Call ``on_lines`` on the running loop with each batch of lines, and with None when ExaBGP is gone."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop, on_lines), daemon=True, name="from-exabgp").start()
        threading.Thread(target=self._write, daemon=True, name="to-exabgp").start()

    def send(self, lines: tuple[str, ...]) -> None:
        """Queue commands."""
        for line in lines:
            self._commands.put(line)

    def configure(self, passive: bool, alternate: bool) -> None:
        """Write the configuration again and have it loaded; what cannot be written is said on stderr."""
        try:
            write_configuration(self._gateway, self._peer, self._gateway_path, passive=passive, alternate=alternate)
        except EnvironmentLackError as error:  # a full disk: the next retry or hold-off writes it again
            print(f"{error.message}; {error.hint}", file=sys.stderr, flush=True)
            return
        self._commands.put("reload")

    def answers_arp(self) -> bool | None:
        """Whether the peer answers ARP; None when the kernel does not know it."""
        for row in _rows("/proc/net/arp"):  # IP address, HW type, flags, HW address, mask, device
            if len(row) >= 6 and row[0] == self._peer.address and row[5] == self._peer.interface:
                return int(row[2], 16) & 0x2 != 0  # ATF_COM, linux/if_arp.h
        return None

    def _read(self, loop: asyncio.AbstractEventLoop, on_lines: Callable[[list[bytes] | None], None]) -> None:
        rest = b""
        with suppress(RuntimeError):  # the loop is closed: we are on our way out
            while data := os.read(0, _READ_SIZE):
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                if len(rest) > _LONGEST_LINE:
                    lines.append(rest[:64])  # no line of ExaBGP's: counted as one that cannot be read
                    rest = b""
                if lines:
                    self._hand_over(loop, on_lines, lines, sum(map(len, lines)))
            loop.call_soon_threadsafe(on_lines, None)

    def _hand_over(
        self,
        loop: asyncio.AbstractEventLoop,
        on_lines: Callable[[list[bytes] | None], None],
        lines: list[bytes],
        size: int,
    ) -> None:
        def consume() -> None:
            try:
                on_lines(lines)
            finally:
                with self._room:
                    self._backlog -= size
                    self._room.notify()

        with self._room:
            self._room.wait_for(lambda: self._backlog < _BACKLOG)
            self._backlog += size
        loop.call_soon_threadsafe(consume)

    def _write(self) -> None:
        with suppress(OSError):  # ExaBGP is gone: the reading thread tells
            while True:
                data = self._commands.get().encode() + b"\n"
                while data:
                    data = data[os.write(1, data) :]


def _rows(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return []
