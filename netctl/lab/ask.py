"""Asks a lab's programs over their unix sockets: netctl's own in frames, BIRD in its control protocol."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netctl.ipc.frames import FrameReader, encode
from netctl.ipc.messages import Hello, Message, Reply, Request
from netctl.model.errors import PeerError

_WITHIN_S = 2.0


def program_status(path: Path) -> dict[str, Any] | None:
    """The body of an agent's or controller's answer to ``status``; None when it does not answer."""
    heard = listen(path, lambda message: isinstance(message, Reply), question=Request("status"))
    return next((message.body for message in heard if isinstance(message, Reply)), None)


def listen(
    path: Path, enough: Callable[[Message], bool], *, within_s: float = _WITHIN_S, question: Message | None = None
) -> list[Message]:
    """Say Hello, ask the question, and collect messages until one is ``enough`` or the time is over."""
    collected: list[Message] = []
    reader = FrameReader()
    deadline = time.monotonic() + within_s
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(within_s)
            link.connect(str(path))
            link.sendall(encode(Hello("cli", "lab", os.getpid())) + (encode(question) if question else b""))
            while (left := deadline - time.monotonic()) > 0:
                link.settimeout(left)
                data = link.recv(65536)
                if not data:
                    break
                for message in reader.feed(data):
                    collected.append(message)
                    if enough(message):
                        return collected
    except (OSError, PeerError):
        pass
    return collected


def ask_bird(path: Path, command: str) -> list[str]:
    """The lines of BIRD's answer without their codes; [] when it does not answer.

    Each line is ``NNNN-text`` (more follow), ``NNNN text`` (the last) or `` text`` (same code as before).
    """
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_WITHIN_S)
            link.connect(str(path))
            with link.makefile("r", encoding="utf-8", errors="replace") as lines:
                lines.readline()  # the greeting
                link.sendall(command.encode() + b"\n")
                answer = []
                for line in lines:
                    coded = re.match(r"(\d{4})([ -])(.*)", line)
                    answer.append(coded[3] if coded else line[1:].rstrip("\n"))
                    if coded and coded[2] == " ":
                        break
                return answer
    except OSError:
        return []
