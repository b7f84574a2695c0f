"""The names half, looked at from where it is used: who leads, what the APIs say, what each cloud's CoreDNS answers.

What is asked follows from the plan: programs with the roles kube-apiserver, coredns, controller, checker, and each
``registrar-SERVICE`` on the node that serves SERVICE.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from msgspec import Struct

from netctl.lab.api import Lab
from netctl.lab.ask import program_status
from netctl.lab.topology import ZONE

_LOOK_WITHIN_S = 5.0
_REGISTRAR = "registrar-"

Missing = list[tuple[str, str]]


class CloudLook(Struct, frozen=True):
    """One cloud's API and names, asked from one of its machines.

    ``api``: ``ok`` or what is wrong with it. ``answers``: name → addresses, or in ``errors`` why there are none.
    """

    api: str = ""
    answers: dict[str, list[str]] = {}
    errors: dict[str, str] = {}


def controllers(lab: Lab) -> dict[str, dict[str, Any] | None]:
    """Controller → the body of its status; None when it does not answer."""
    return {
        plan.name: program_status(lab.state_dir / "run" / f"{plan.node}-{plan.name}" / "controller.sock")
        for plan in lab.plan.with_role("controller")
    }


def expected_answers(lab: Lab) -> dict[str, dict[str, set[str]]]:
    """Cloud → name → the addresses it resolves to there when all is well: the cloud's own, else all."""
    served: dict[str, dict[str, set[str]]] = {}
    for plan in lab.plan.with_role("registrar"):
        node = lab.topology.node(plan.node)
        by_cloud = served.setdefault(f"{plan.name.removeprefix(_REGISTRAR)}.{ZONE}", {})
        by_cloud.setdefault(node.cloud or "", set()).add(lab.topology.address(node.name))
    clouds = [lab.topology.node(plan.node).cloud or "" for plan in lab.plan.with_role("coredns")]
    return {
        cloud: {name: by.get(cloud) or set().union(*by.values()) for name, by in served.items()} for cloud in clouds
    }


def look(lab: Lab) -> dict[str, CloudLook]:
    """Ask every cloud's API and CoreDNS, from a machine of that cloud."""
    asked = {}
    for cloud, names in expected_answers(lab).items():
        asker = next((node for node in lab.topology.nodes if node.leaf and node.cloud == cloud), None)
        where = (_where(lab, role, cloud) for role in ("kube-apiserver", "coredns"))
        api, dns = (lab.topology.address(node) if node else "-" for node in where)
        if asker is not None:
            argv = [sys.executable, "-m", "netctl.lab.names_look", api, dns, *names]
            asked[cloud] = lab.popen(asker.name, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=-3)
    return {cloud: _heard(process) for cloud, process in asked.items()}


def _where(lab: Lab, role: str, cloud: str) -> str:
    """The node of that cloud on which a program of that role is planned; empty: none is."""
    nodes = (plan.node for plan in lab.plan.with_role(role))
    return next((node for node in nodes if lab.topology.node(node).cloud == cloud), "")


def _heard(process: subprocess.Popen[bytes]) -> CloudLook:
    try:
        output, _ = process.communicate(timeout=_LOOK_WITHIN_S)
        return CloudLook(**json.loads(output))
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()
        process.communicate()
        return CloudLook("does not answer")


def missing_names(lab: Lab) -> Missing:
    """(node, what), like ``steady.what_is_missing``; programs that do not run are known to run."""
    return _missing_of_controllers(lab, controllers(lab)) or _missing_answers(lab)


def _missing_of_controllers(lab: Lab, bodies: dict[str, dict[str, Any] | None]) -> Missing:
    where = {plan.name: plan.node for plan in lab.plan.with_role("controller")}
    silent = [(where[name], f"controller {name} does not answer") for name, body in bodies.items() if body is None]
    if silent:
        return silent
    missing = _leaderless(bodies, next(iter(where.values()), ""))
    for name, body in bodies.items():
        missing += [(where[name], f"{name}: {what}") for what in _restless(lab, body or {})]
    return missing


def _leaderless(bodies: dict[str, dict[str, Any] | None], node: str) -> Missing:
    """Clusters that not exactly one controller leads."""
    leaders: dict[str, list[str]] = {}
    reasons: dict[str, list[str]] = {}
    for name, body in bodies.items():
        for cluster in body["clusters"] if body else ():
            leaders.setdefault(cluster["name"], []).extend([name] if cluster["state"] == "leading" else [])
            reasons.setdefault(cluster["name"], []).append(cluster["reason"])
    missing = []
    for cluster_name, leading in leaders.items():
        if len(leading) != 1:
            why = "; ".join(dict.fromkeys(filter(None, reasons[cluster_name])))
            who = " and ".join(leading) or "no controller"
            missing.append((node, f"cluster {cluster_name} is led by {who}" + (f": {why}" if why else "")))
    return missing


def _restless(lab: Lab, body: dict[str, Any]) -> list[str]:
    """What one controller has not done or is not content with."""
    found = [
        f"source {s['name']} is {s['state']} {s['reason']}".strip() for s in body["sources"] if s["state"] != "synced"
    ]
    found += [
        f"{c['pending']} services of cluster {c['name']} are to be written" for c in body["clusters"] if c["pending"]
    ]
    connected = {checker["cloud"] for checker in body["checkers"] if checker["connected"]}
    wanted = {lab.topology.node(plan.node).cloud or "" for plan in lab.plan.with_role("checker")}
    found += [f"the checker of cloud {cloud} is not connected" for cloud in sorted(wanted - connected)]
    found += [f"{f['service']} on {f['instance']} fails its checks: {f['detail']}" for f in body["failing"]]
    found += [f"hold {hold['id']}: {hold['reason']}" for hold in body["holds"]]
    return found


def _missing_answers(lab: Lab) -> Missing:
    missing: Missing = []
    looks = look(lab)
    for cloud, names in expected_answers(lab).items():
        seen = looks.get(cloud, CloudLook("cannot be asked"))
        if seen.api != "ok" and lab.plan.with_role("kube-apiserver"):
            missing.append((_where(lab, "kube-apiserver", cloud), f"the Kubernetes API: {seen.api}"))
        for name, wanted in names.items():
            got = set(seen.answers.get(name, ()))
            if got != wanted:
                said = ", ".join(sorted(got)) or seen.errors.get(name, "no answer")
                missing.append(
                    (_where(lab, "coredns", cloud), f"{name} is {said} instead of {', '.join(sorted(wanted))}")
                )
    return missing


def names_rows(lab: Lab) -> list[dict[str, Any]]:
    """One row for each cloud, for ``lab status``: cloud, api, leader, checker, holds, answers [{name, addresses}]."""
    bodies = {name: body for name, body in controllers(lab).items() if body is not None}
    rows = []
    for cloud, seen in look(lab).items():
        clusters = [(name, c) for name, body in bodies.items() for c in body["clusters"] if c["cloud"] == cloud]
        leaders = [name for name, cluster in clusters if cluster["state"] == "leading"]
        connected = [
            name for name, body in bodies.items() for c in body["checkers"] if c["cloud"] == cloud and c["connected"]
        ]
        rows.append(
            {
                "cloud": cloud,
                "api": seen.api,
                "leader": " and ".join(leaders),
                "checker": "connected to " + " and ".join(connected) if connected else "not connected",
                "holds": max((len(body["holds"]) for body in bodies.values()), default=0),
                "answers": {**{name: ", ".join(found) for name, found in seen.answers.items()}, **seen.errors},
            }
        )
    return rows
