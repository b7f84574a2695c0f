"""One view of a lab: nodes, sessions, processes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from netctl.lab import namespaces, paths
from netctl.lab.api import Lab
from netctl.lab.names_steady import names_rows
from netctl.lab.plan import read_plan
from netctl.lab.sessions import as_rows, lab_sessions
from netctl.lab.topology import NAMES_ROLES


def lab_status(lab: Lab) -> dict[str, Any]:
    """Keys: name, state_dir, notes, ready, halves [routing, names]; nodes [{node, role, cloud, daemon, asn, addresses,
    state}]; sessions [{node, peer, protocol, state, detail, complete}]; names: see ``names_rows``; processes [{node,
    name, role, pid, started, state, restarts, waits_for}].

    A node's state is ``up`` when all its programs run and all its sessions are up, ``idle`` when it is there for the
    names half and that is not.
    """
    names = lab.plan.has_names
    sessions = as_rows(lab_sessions(lab))
    processes = [asdict(process) for process in lab.processes()]
    troubled = {s["node"] for s in sessions if s["state"] != "up"}
    troubled |= {p["node"] for p in processes if p["state"] not in {"running", "done"}}
    idle = set() if names else {node.name for node in lab.topology.with_role(*NAMES_ROLES)}
    nodes = [
        {
            "node": node.name,
            "role": node.role,
            "cloud": node.cloud,
            "daemon": node.daemon,
            "asn": node.asn or None,
            "addresses": [f"{own.interface} {own.address}" for own, _ in lab.topology.ends(node.name)],
            "state": "degraded" if node.name in troubled else "idle" if node.name in idle else "up",
        }
        for node in lab.topology.nodes
    ]
    return {
        "name": lab.name,
        "state_dir": str(lab.state_dir),
        "notes": list(lab.plan.notes),
        "ready": (lab.state_dir / "ready").exists(),
        "halves": ["routing", "names"] if names else ["routing"],
        "nodes": nodes,
        "sessions": sessions,
        "names": names_rows(lab) if names else [],
        "processes": processes,
    }


def list_labs() -> list[dict[str, Any]]:
    """Every lab of this user: name, state (up, not_ready, dead), nodes, state_dir."""
    rows = []
    for name in paths.names():
        state_dir = paths.state_root() / name
        init, plan = namespaces.read_init(state_dir), read_plan(state_dir)
        alive = init is not None and namespaces.started(f"/proc/{init[0]}") == init[1]
        state = "dead" if not alive else "up" if (state_dir / "ready").exists() else "not_ready"
        nodes = len(plan.topology.nodes) if plan else 0
        rows.append({"name": name, "state": state, "nodes": nodes, "state_dir": str(state_dir)})
    return rows
