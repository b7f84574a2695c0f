"""Which flows to measure: enough that every member of every gateway's ECMP group carries some. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from netctl.drill.facts import Facts, GatewayFacts, Host
from netctl.model.errors import InconclusiveError
from netctl.probe.spec import Flow

CANDIDATES = 128
"""Per direction. The chance that one of two members gets fewer than two of them is below 1e-30."""
PER_MEMBER = 8
"""Flows measured per member and direction."""
ENOUGH = 2
"""Fewer on one member: the measurement says nothing about it."""
_FIRST_SOURCE_PORT = 20_000
_FIRST_TARGET_PORT = 31_000
_PORT_BLOCKS = 80
"""A drill takes one of these blocks of CANDIDATES ports: the probe of one just killed may still hold its own."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A flow with what is known about its way before the fault."""

    flow: Flow
    direction: str
    """``a_to_b``: cloud to cloud."""
    via: str
    """The provider that the source's gateway gives it to."""


def candidates(facts: Facts, drill_id: str) -> dict[str, tuple[GatewayFacts, tuple[Flow, ...]]]:
    """Direction → (the gateway that chooses, flows that could be measured), over all pairs of VMs in turn."""
    first = zlib.crc32(drill_id.encode()) % _PORT_BLOCKS * CANDIDATES
    found: dict[str, tuple[GatewayFacts, tuple[Flow, ...]]] = {}
    for source, target in permutations(sorted({host.cloud for host in facts.hosts}), 2):
        gateway = next((g for g in facts.gateways if g.cloud == source), None)
        if gateway is None:
            continue
        here = [host for host in facts.hosts if host.cloud == source]
        there = [host for host in facts.hosts if host.cloud == target]
        direction = f"{source}_to_{target}"
        found[direction] = (gateway, tuple(_flow(direction, n, first + n, here, there) for n in range(CANDIDATES)))
    return found


def _flow(direction: str, number: int, port: int, here: Sequence[Host], there: Sequence[Host]) -> Flow:
    source, target = here[number % len(here)], there[number // len(here) % len(there)]
    return Flow(
        name=f"{direction}-{number}",
        source_node=source.node,
        source=source.address,
        source_port=_FIRST_SOURCE_PORT + port,
        target_node=target.node,
        target=target.address,
        target_port=_FIRST_TARGET_PORT + port,
    )


def choose(direction: str, gateway: GatewayFacts, flows: Sequence[Flow], ways: Mapping[str, str]) -> list[Measured]:
    """Up to PER_MEMBER flows for each exit of ``gateway``; ``ways`` is the kernel's answer: flow → interface.

    Raises InconclusiveError when a member is carried by fewer than ENOUGH of all candidates.
    """
    chosen: dict[str, list[Measured]] = {provider: [] for provider in gateway.exits.values()}
    for flow in flows:
        provider = gateway.exits.get(ways.get(flow.name, ""))
        if provider is not None and len(chosen[provider]) < PER_MEMBER:
            chosen[provider].append(Measured(flow, direction, provider))
    if not chosen:
        raise InconclusiveError(f"{gateway.name} has no exit to a provider", "netctl lab status")
    for provider, some in chosen.items():
        if len(some) < ENOUGH:
            raise InconclusiveError(
                f"of {len(flows)} flows {direction.replace('_', ' ')}, {gateway.name} sends {len(some)} by {provider}",
                "is that provider's member in the ECMP group? netctl explain, netctl lab status",
            )
    return [measured for some in chosen.values() for measured in some]
