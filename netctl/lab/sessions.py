"""Every BGP and BFD session of a lab, asked from the daemon that holds it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from netctl.ipc.messages import BfdSession, Complete, Message, SessionState
from netctl.lab.api import Lab
from netctl.lab.ask import ask_bird, listen
from netctl.lab.topology import Neighbour, Node, with_bfd

_VTYSH_WITHIN_S = 5.0


class Session(Struct, frozen=True):
    """One end of a session. ``state``: up, connecting, init, down, admin_down, or unknown when nobody answers.

    ``detail`` is the daemon's own word on what is not up. ``complete``: the peer's table is known whole (BGP on
    gateways only).
    """

    node: str
    peer: str
    protocol: str
    state: str
    detail: str = ""
    complete: bool = False


def peer_name(neighbour: Neighbour) -> str:
    """What a gateway's file calls a neighbour: its fabric router is ``fabric``."""
    return "fabric" if neighbour.node.role == "fabric" else neighbour.node.name


def lab_sessions(lab: Lab, nodes: list[Node] | None = None) -> list[Session]:
    """The sessions of these routers (all of them by default), each one that the topology has, in its order."""
    found: list[Session] = []
    for node in lab.topology.nodes if nodes is None else nodes:
        if node.daemon is not None:
            found += _ASK[node.daemon](lab, node)
    # Each daemon has a word of its own for "nothing is wrong".
    return [msgspec.structs.replace(session, detail="") if session.state == "up" else session for session in found]


def _of_netctl(lab: Lab, node: Node) -> list[Session]:
    """From the speakers and liveness themselves: they answer also while the agent is dead."""
    folder = lab.state_dir / "run" / node.name
    neighbours = lab.topology.neighbours(node.name)
    names = {n: peer_name(n) if node.role == "gateway" else n.node.name for n in neighbours}
    sessions = [_speaker(folder / f"speaker-{name}.sock", node.name, name) for name in names.values()]
    wanted = [name for n, name in names.items() if with_bfd(node, n.node)]
    heard: dict[str, BfdSession] = {}

    def enough(message: Message) -> bool:
        if isinstance(message, BfdSession):
            heard[message.peer] = message
        return heard.keys() >= set(wanted)

    if wanted:
        listen(folder / "liveness.sock", enough)
    for name in wanted:
        bfd = heard.get(name)
        state, detail = (bfd.state, bfd.diagnostic) if bfd else ("unknown", "liveness does not answer")
        sessions.append(Session(node.name, name, "bfd", state, detail))
    return sessions


def _speaker(path: Path, node: str, peer: str) -> Session:
    def enough(message: Message) -> bool:
        return isinstance(message, Complete) or (isinstance(message, SessionState) and message.state != "up")

    messages = listen(path, enough, within_s=0.5)
    states = [message for message in messages if isinstance(message, SessionState)]
    if not states:
        return Session(node, peer, "bgp", "unknown", "the speaker does not answer")
    complete = any(isinstance(message, Complete) for message in messages)
    return Session(node, peer, "bgp", states[-1].state, states[-1].reason, complete)


def _of_bird(lab: Lab, node: Node) -> list[Session]:
    socket = lab.state_dir / "run" / node.name / "bird.ctl"
    bgp = _bird_bgp(ask_bird(socket, "show protocols all"))
    bfd = _bird_bfd(ask_bird(socket, "show bfd sessions"))
    return _by_address(lab, node, bgp, bfd)


def _bird_bgp(lines: list[str]) -> dict[str, tuple[str, str]]:
    """Neighbour's address → (state, detail) from ``show protocols all``."""
    found: dict[str, tuple[str, str]] = {}
    state = detail = ""
    for line in lines:
        if line and not line.startswith(" "):
            info = line.split(None, 5)
            detail = " ".join(info[5].split()) if len(info) > 5 else ""
        elif match := re.match(r"\s+BGP state:\s+(\S+)", line):
            state = {"Established": "up", "Down": "down"}.get(match[1], "connecting")
        elif match := re.match(r"\s+Neighbor address:\s+([0-9.]+)", line):
            found[match[1]] = (state, "" if state == "up" else detail)
    return found


def _bird_bfd(lines: list[str]) -> dict[str, tuple[str, str]]:
    rows = [line.split() for line in lines]
    return {
        row[0]: (row[2].lower().replace("admindown", "admin_down"), "")
        for row in rows
        if len(row) >= 6 and row[0][0].isdigit()
    }


def _of_frr(lab: Lab, node: Node) -> list[Session]:
    command = ["vtysh", "--vty_socket", f"/run/netctl/{node.name}"]
    command += ["-c", "show bgp ipv4 unicast summary json", "-c", "show bfd peers json"]
    try:
        asked = lab.popen(
            node.name, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        output, _ = asked.communicate(timeout=_VTYSH_WITHIN_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        asked.communicate()
        output = b""
    documents = _json_documents(output.decode(errors="replace"))
    bgp: dict[str, tuple[str, str]] = {}
    bfd: dict[str, tuple[str, str]] = {}
    for document in documents:
        if isinstance(document, list):
            bfd |= {
                p["peer"]: (p.get("status", "unknown").replace("-", "_"), p.get("diagnostic", "")) for p in document
            }
        elif isinstance(document, dict):
            for address, peer in document.get("peers", {}).items():
                word = str(peer.get("state", "unknown"))
                bgp[address] = ("up", "") if word == "Established" else ("connecting", word)
    return _by_address(lab, node, bgp, bfd)


def _json_documents(text: str) -> list[Any]:
    """Every JSON document of a text that has several, one after another."""
    decoder = json.JSONDecoder()
    found = []
    at = 0
    while match := re.compile(r"[\[{]").search(text, at):
        try:
            document, at = decoder.raw_decode(text, match.start())
        except ValueError:
            break
        found.append(document)
    return found


def _by_address(
    lab: Lab, node: Node, bgp: dict[str, tuple[str, str]], bfd: dict[str, tuple[str, str]]
) -> list[Session]:
    silent = ("unknown", f"{node.daemon} does not answer")
    sessions = []
    for neighbour in lab.topology.neighbours(node.name):
        peer = neighbour.node.name
        state, detail = bgp.get(neighbour.theirs.ip, ("unknown", "no such session") if bgp else silent)
        sessions.append(Session(node.name, peer, "bgp", state, detail))
        if with_bfd(node, neighbour.node):
            state, detail = bfd.get(neighbour.theirs.ip, ("unknown", "no such session") if bgp else silent)
            sessions.append(Session(node.name, peer, "bfd", state, detail))
    return sessions


_ASK = {"netctl": _of_netctl, "embedded": _of_netctl, "bird": _of_bird, "frr": _of_frr}


def as_rows(sessions: list[Session]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = msgspec.to_builtins(sessions)
    return rows
