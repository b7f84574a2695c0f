"""Every drill by name, and what is wrong with a command line before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from netctl.drill import naming, routing
from netctl.drill.experiments import Drill, Options, known, naming_half
from netctl.drill.facts import Facts
from netctl.model.errors import UsageError

OF_EVERY_DRILL = ("duration", "limit", "objective-ms")
"""Options that no drill lists as its own."""

DRILLS: dict[str, Drill] = {drill.name: drill for drill in (*routing.DRILLS, *naming.DRILLS)}


def find(name: str) -> Drill:
    """Raises UsageError naming the drills."""
    if name not in DRILLS:
        raise UsageError(f"there is no drill {name!r}", f"drills: {', '.join(DRILLS)}")
    return DRILLS[name]


def flags(names: Sequence[str]) -> str:
    """Names of options as they are typed."""
    return ", ".join(f"--{name}" for name in names)


def check_options(drill: Drill, options: Options) -> None:
    """Raises UsageError naming an option that means nothing to this drill: ignored, it would test something else."""
    for name in options.given():
        if name not in drill.options:
            others = ", ".join(other.name for other in DRILLS.values() if name in other.options)
            raise UsageError(
                f"{drill.name} has no option --{name}, which belongs to {others}",
                f"options of {drill.name}: {flags(drill.options)}; of every drill: {flags(OF_EVERY_DRILL)}",
            )


def check_names(drill: Drill, options: Options, facts: Facts) -> None:
    """Raises UsageError for a name that the lab has not got, whatever runs there at this moment; EnvironmentLackError
    when the drill is about a half that is not up."""
    if drill.needs_names:
        naming.check_names(options, facts, naming_half(facts))
    exits = {gateway.name: gateway.exits for gateway in facts.gateways}
    if options.provider is not None:
        known(options.provider, list(facts.provider_links), "provider", facts)
    gateway = known(options.gateway, list(exits), "gateway", facts) if options.gateway or options.peer else None
    if options.peer is not None and gateway is not None:
        known(options.peer, sorted(set(exits[gateway].values())), "peer", facts)
