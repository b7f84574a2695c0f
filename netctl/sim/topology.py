"""Names, numbers and gateway files of the simulated world.

::

    ga1 ── pa ── gb1        cloud a: 10.1.0.0/16 …      ga1-pa 10.0.1.0/30   gb1-pa 10.0.3.0/30
      └─── pb ───┘          cloud b: 10.2.0.0/16 …      ga1-pb 10.0.2.0/30   gb1-pb 10.0.4.0/30
"""

from __future__ import annotations

from functools import cache

from netctl.model.gateway import (
    MEMBER_ID_BASE,
    AnnouncementSettings,
    BfdSettings,
    CheckSettings,
    CloudSettings,
    Condition,
    Gateway,
    Peer,
)
from netctl.model.prefix import Prefix, format_prefix, parse_prefix
from netctl.model.routing import KernelOp, Via
from netctl.sim.network import End, Wires
from netctl.sim.schedule import GATEWAYS, PROVIDERS, Schedule

HOLD_TIME_S = 9
ASNS = {"ga1": 65100, "gb1": 65200, "pa": 65001, "pb": 65002}
_CLOUDS = {"ga1": ("a", 1), "gb1": ("b", 2)}


def link_ends(gateway: str, provider: str) -> tuple[End, End]:
    """The two ends of a link, the gateway's first."""
    net = f"10.0.{2 * GATEWAYS.index(gateway) + PROVIDERS.index(provider) + 1}"
    return End(gateway, f"gw-{provider}", f"{net}.1"), End(provider, f"to-{gateway}", f"{net}.2")


@cache
def own_prefixes(gateway: str) -> tuple[Prefix, ...]:
    """What a gateway's cloud holds."""
    number = _CLOUDS[gateway][1]
    return tuple(
        parse_prefix(text) for text in (f"10.{number}.0.0/16", f"10.{number}.7.0/24", f"10.{number}.255.10/32")
    )


@cache
def remote_prefixes(gateway: str) -> tuple[Prefix, ...]:
    """What it has to learn."""
    return tuple(prefix for other in GATEWAYS if other != gateway for prefix in own_prefixes(other))


def gateway_settings(name: str, wires: Wires, schedule: Schedule) -> Gateway:
    """The gateway file of one gateway, as if validated."""
    cloud, _ = _CLOUDS[name]
    peers = []
    for number, provider in enumerate(PROVIDERS):
        link = wires.links[f"{name}-{provider}"]
        mine, theirs = link.end_of(name), link.other_end(name)
        peers.append(
            Peer(
                provider,
                "provider",
                mine.interface,
                mine.address,
                theirs.address,
                ASNS[provider],
                BfdSettings(schedule.interval_ms, schedule.multiplier),
                hold_time_s=HOLD_TIME_S,
                member_id=MEMBER_ID_BASE + 1 + number,
            )
        )
    wide, narrow, service = own_prefixes(name)
    return Gateway(
        name=name,
        cloud=cloud,
        asn=ASNS[name],
        router_id=peers[0].local,
        runtime_dir=f"/run/netctl/{name}",
        peers=tuple(peers),
        clouds=tuple(CloudSettings(_CLOUDS[g][0], own_prefixes(g)) for g in GATEWAYS if g != name),
        announce=(
            AnnouncementSettings(wide, PROVIDERS, ()),
            AnnouncementSettings(narrow, PROVIDERS, ()),
            AnnouncementSettings(service, PROVIDERS, (Condition("check", "ingress"),)),
        ),
        checks=(CheckSettings("ingress", "http://10.1.255.10/healthz", None),),
    )


def describe(op: KernelOp) -> str:
    """One operation in a few words."""
    fields = [
        ",".join(map(format_prefix, value)) if name == "prefixes" else _short(value)
        for name, value in ((name, getattr(op, name)) for name in op.__slots__)
    ]
    return f"{type(op).__name__} {' '.join(fields)}"


def _short(value: object) -> str:
    if isinstance(value, Via):
        return f"{'.'.join(map(str, value.gateway))}@{value.interface}"
    return f"{value:#x}" if isinstance(value, int) else str(value)
