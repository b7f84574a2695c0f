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
from netctl.lab.ask import program_status
from netctl.lab.daemons import PAGE_PORT
from netctl.lab.names_steady import missing_names
from netctl.lab.plan import Half, read_records
from netctl.lab.processes import LabProcess
from netctl.lab.sessions import lab_sessions
from netctl.lab.topology import Node, with_bfd
from netctl.model.errors import NetctlError

_PAUSE_S = 0.2
_TELL_EVERY_S = 2.0
_COMMAND_WITHIN_S = 5.0
_TOLD = 6
"""So many of the things that are missing are told at the end."""
_HOPELESS_EXITS = {2, 3}  # usage or configuration; the environment lacks something
_OWN_ROLES = {"agent", "embedded", "controller", "checker", "registrar", "setup"}  # whose exit codes mean that
_HOPELESS_AFTER = 3


def wait_steady(lab: Lab, progress: Callable[[str], None], deadline: float, only: Half | None = None) -> None:
    """Wait until nothing is missing. Raises NetctlError that says what still is, and where its log is."""
    told_at = time.monotonic()
    while missing := what_is_missing(lab, only):
        now = time.monotonic()
        if now >= deadline or _hopeless(lab):
            raise _not_steady(lab, missing)
        if now - told_at >= _TELL_EVERY_S:
            told_at = now
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            progress(f"waiting for {missing[0][0]}: {missing[0][1]}{more}")
        time.sleep(_PAUSE_S)


def _not_steady(lab: Lab, missing: list[tuple[str, str]]) -> NetctlError:
    told = missing[:_TOLD]
    more = f"; and {len(missing) - len(told)} more" if missing[_TOLD:] else ""
    logs = [str(path) for node in dict.fromkeys(node for node, _ in told) for path in lab.logs(node)]
    return NetctlError(
        "the lab is not steady: " + "; ".join(f"{node}: {text}" for node, text in told) + more,
        f"it is left up to look into; logs: {', '.join(logs) or lab.state_dir / 'log'}",
    )


def what_is_missing(lab: Lab, only: Half | None = None) -> list[tuple[str, str]]:
    """(node, what), from the cheapest question to the dearest: the first kind that misses something ends the asking.

    Of both halves, as far as they are planned; or of one ``only``.
    """
    missing = _of_routing(lab) if only != "names" else []
    if not missing and only != "routing" and lab.plan.has_names:
        missing = _processes(lab, "names") or missing_names(lab)
    return missing


def _of_routing(lab: Lab) -> list[tuple[str, str]]:
    gateways = lab.topology.with_role("gateway")
    return (
        _processes(lab, "routing")
        or _sessions(lab, gateways)
        or [m for node in gateways for m in _agent(lab, node)]
        or [m for node in gateways for m in _routes(lab, node)]
        or _sessions(lab, lab.topology.with_role("provider", "fabric"))
        or _pages(lab)
    )


def _processes(lab: Lab, half: Half) -> list[tuple[str, str]]:
    """What is planned and does not run; each program says what it waits for, or its last words."""
    planned = {(plan.node, plan.name) for plan in lab.plan.processes if plan.half == half}
    missing, waiting = [], []
    for process in lab.processes():
        if (process.node, process.name) not in planned or process.state in {"running", "stopped", "done"}:
            continue
        if process.state == "waiting":
            what = f"waits for {process.waits_for}" if process.waits_for else "is about to start"
            waiting.append((process.node, f"{process.name} {what}"))
        elif process.state == "held":
            missing.append((process.node, f"{process.name} is held down by a drill"))
        else:
            what = f"does not run (started {process.restarts + 1} times){_last_words(lab, process)}"
            missing.append((process.node, f"{process.name} {what}"))
    return missing + waiting


def _hopeless(lab: Lab) -> bool:
    """Whether a program has said again and again that it lacks something: waiting would not help."""
    return any(
        record.role in _OWN_ROLES
        and record.state == "restarting"
        and record.restarts >= _HOPELESS_AFTER
        and record.last_exit in _HOPELESS_EXITS
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
    body = program_status(lab.agent_socket(gateway.name))
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
                address = lab.topology.address(asked.name)
                script = str(Path(page.__file__))
                answer = _run(lab, asker, [sys.executable, "-I", "-S", script, "get", address, str(PAGE_PORT)])
                if f"in cloud {asked.cloud} answers" not in answer:
                    missing.append((asker.name, f"{asked.name} ({address}) does not answer: {answer.strip()}"))
    return missing


def _run(lab: Lab, node: Node, argv: list[str]) -> str:
    asked = lab.popen(node.name, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = asked.communicate(timeout=_COMMAND_WITHIN_S)
    except subprocess.TimeoutExpired:
        asked.kill()
        output, _ = asked.communicate()
    return output.decode(errors="replace")
