"""Is the lab steady, and if not, what is not there yet?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from netctl.lab import page
from netctl.lab.api import Lab
from netctl.lab.ask import agent_status
from netctl.lab.daemons import PAGE_PORT
from netctl.lab.plan import read_records
from netctl.lab.processes import LabProcess
from netctl.lab.sessions import lab_sessions
from netctl.lab.topology import LinkEnd, Node, with_bfd
from netctl.model.errors import NetctlError

_PAUSE_S = 0.2
_TELL_EVERY_S = 2.0
_COMMAND_WITHIN_S = 5.0
_HOPELESS_EXITS = {2, 3}  # usage or configuration; the environment lacks something
_HOPELESS_AFTER = 3


def wait_steady(lab: Lab, progress: Callable[[str], None], deadline: float) -> None:
    """Wait until nothing is missing. Raises NetctlError that says what still is, and where its log is."""
    told_at = time.monotonic()
    while missing := what_is_missing(lab):
        now = time.monotonic()
        if now >= deadline or _hopeless(lab):
            logs = [str(path) for node, _ in missing for path in lab.logs(node)] if missing[0][0] else []
            raise NetctlError(
                "the lab is not steady: " + "; ".join(f"{node}: {text}" for node, text in missing),
                "it is left up to look into; logs: " + (", ".join(dict.fromkeys(logs)) or str(lab.state_dir / "log")),
            )
        if now - told_at >= _TELL_EVERY_S:
            told_at = now
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            progress(f"waiting for {missing[0][0]}: {missing[0][1]}{more}")
        time.sleep(_PAUSE_S)


def what_is_missing(lab: Lab) -> list[tuple[str, str]]:
    """(node, what), from the cheapest question to the dearest: the first kind that misses something ends the asking."""
    gateways = lab.topology.with_role("gateway")
    return (
        _processes(lab)
        or _sessions(lab, gateways)
        or [m for node in gateways for m in _agent(lab, node)]
        or [m for node in gateways for m in _routes(lab, node)]
        or _sessions(lab, lab.topology.with_role("provider", "fabric"))
        or _pages(lab)
    )


def _processes(lab: Lab) -> list[tuple[str, str]]:
    return [
        (process.node, f"{process.name} does not run (started {process.restarts + 1} times){_last_words(lab, process)}")
        for process in lab.processes()
        if process.state in {"waiting", "restarting"}
    ]


def _hopeless(lab: Lab) -> bool:
    """Whether a program has said again and again that it lacks something: waiting would not help."""
    return any(
        record.state == "restarting" and record.restarts >= _HOPELESS_AFTER and record.last_exit in _HOPELESS_EXITS
        for record in read_records(lab.state_dir)
    )


def _last_words(lab: Lab, process: LabProcess) -> str:
    """The last line of its log that says what is wrong; a hint below it is a second thought."""
    path = lab.state_dir / "log" / process.node / f"{process.name}.log"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    spoken = [line.strip() for line in lines[-20:] if line.strip() and not line.startswith(" ")]
    return f": {spoken[-1][:200]}" if spoken else ""


def _sessions(lab: Lab, nodes: list[Node]) -> list[tuple[str, str]]:
    missing = []
    gateways = {node.name for node in lab.topology.with_role("gateway")}
    for session in lab_sessions(lab, nodes):
        what = f"{session.protocol.upper()} to {session.peer}"
        if session.state != "up":
            missing.append(
                (session.node, f"{what} is {session.state}" + (f" ({session.detail})" * bool(session.detail)))
            )
        elif session.node in gateways and session.protocol == "bgp" and not session.complete:
            missing.append((session.node, f"{what} has not sent its whole table"))
    return missing


def _agent(lab: Lab, gateway: Node) -> list[tuple[str, str]]:
    """Nothing in doubt, away from home or waiting to be written, by the agent's own account."""
    body = agent_status(lab.agent_socket(gateway.name))
    if body is None:
        return [(gateway.name, "the agent does not answer")]
    if body["steady"]:
        return []
    away = [f"traffic for {p['name']} is still led over another peer" for p in body["peers"] if p["member"] == "away"]
    return [(gateway.name, ", ".join(away) or "the agent has not finished yet")]


def _routes(lab: Lab, gateway: Node) -> list[tuple[str, str]]:
    """The far clouds' prefixes over every provider, in the kernel."""
    answer = _run(lab, gateway, [sys.executable, "-m", "netctl.lab.look"])
    try:
        routes: dict[str, int] = json.loads(answer)
    except ValueError:
        return [(gateway.name, f"its routes cannot be read: {answer.strip()}")]
    providers = sum(with_bfd(gateway, n.node) for n in lab.topology.neighbours(gateway.name))
    far = [prefix for cloud, prefix in lab.topology.clouds.items() if cloud != gateway.cloud]
    return [
        (gateway.name, f"{prefix} goes over {routes.get(prefix, 0)} of {providers} providers")
        for prefix in far
        if routes.get(prefix, 0) < providers
    ]


def _pages(lab: Lab) -> list[tuple[str, str]]:
    """One VM of each cloud asks one of each other cloud."""
    first: dict[str, Node] = {}
    for node in lab.topology.with_role("vm"):
        first.setdefault(node.cloud or "", node)
    missing = []
    for asker in first.values():
        for asked in first.values():
            if asker is not asked:
                address = _end(lab, asked).ip
                script = str(Path(page.__file__))
                answer = _run(lab, asker, [sys.executable, "-I", "-S", script, "get", address, str(PAGE_PORT)])
                if f"in cloud {asked.cloud} answers" not in answer:
                    missing.append((asker.name, f"{asked.name} ({address}) does not answer: {answer.strip()}"))
    return missing


def _end(lab: Lab, node: Node) -> LinkEnd:
    return lab.topology.ends(node.name)[0][0]


def _run(lab: Lab, node: Node, argv: list[str]) -> str:
    asked = lab.popen(node.name, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = asked.communicate(timeout=_COMMAND_WITHIN_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        output, _ = asked.communicate()
    return output.decode(errors="replace")
