"""The table of nouns. Imports nothing of what it names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Noun:
    """One row of the table: its module and what it is for. ``whole``: the noun is the command, it has no verbs."""

    module: str
    summary: str
    whole: bool = False


NOUNS: dict[str, Noun] = {
    "status": Noun(
        "netctl.cli.status", "state of every gateway, controller, session and process found here", whole=True
    ),
    "explain": Noun(
        "netctl.cli.explain", "why a prefix or address goes where it goes, a service answers as it does", whole=True
    ),
    "agent": Noun("netctl.cli.agent", "run, stop and inspect a gateway's agent"),
    "controller": Noun("netctl.cli.controller", "run and inspect a controller, see what it would write"),
    "checker": Noun("netctl.cli.checker", "run and inspect a checker of a cloud's instances"),
    "holds": Noun("netctl.cli.holds", "what the guards hold back, and the consent to let it go"),
    "lab": Noun("netctl.cli.lab", "two clouds and two providers on this machine, in namespaces"),
    "drill": Noun("netctl.cli.drill", "experiments: a fault, its measured outage, an objective, the undo"),
    "config": Noun("netctl.cli.config", "check and migrate configuration files, print their schema"),
    "sim": Noun("netctl.cli.sim", "the simulator: seeded faults on virtual time, invariants checked"),
    "try": Noun("netctl.cli.try_", "the shortest look: a small lab without root, one drill, its outage", whole=True),
}
