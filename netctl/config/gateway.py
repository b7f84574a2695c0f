"""The gateway file: text → ``netctl.model.gateway.Gateway``."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from netctl.config.gateway_file import DEFAULT_TIMEOUT_MS, AnnouncementFile, CheckFile, GatewayFile, PeerFile
from netctl.config.gateway_rules import KINDS, check_rules
from netctl.config.kind import Kind
from netctl.config.problem import Problem
from netctl.config.reader import read_document
from netctl.config.rules import DEFAULT_RUNTIME_DIR
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
from netctl.model.prefix import DEFAULT_V4, Prefix, contains, parse_prefix

GATEWAY = Kind("gateway", GatewayFile, check_rules)


def check_gateway(text: str, source: str) -> list[Problem]:
    """Every problem of a gateway file, sorted by place; empty: it is valid. Never raises."""
    return GATEWAY.check(read_document(text, source))[1]


def parse_gateway(text: str, source: str) -> Gateway:
    """The validated settings. Raises ConfigError with every problem."""
    return _build(GATEWAY.read(text, source), source)


def _build(file: GatewayFile, source: str) -> Gateway:
    ids = member_ids(peer.name for peer in file.peers)
    clouds = tuple(CloudSettings(cloud.name, tuple(map(parse_prefix, cloud.prefixes))) for cloud in file.clouds)
    remote = [prefix for cloud in clouds for prefix in cloud.prefixes]
    return Gateway(
        name=file.gateway,
        cloud=file.cloud,
        asn=file.asn,
        router_id=file.router_id,
        runtime_dir=file.runtime_dir or f"{DEFAULT_RUNTIME_DIR}/{file.gateway}",
        peers=tuple(_peer(peer, ids[peer.name]) for peer in file.peers),
        clouds=clouds,
        announce=tuple(_announcement(entry, file.peers, remote) for entry in file.announce),
        checks=tuple(_check(name, check) for name, check in file.checks.items()),
        metrics_listen=file.metrics_listen,
        source=source,
    )


def member_ids(names: Iterable[str]) -> dict[str, int]:
    """Nexthop ids of peers' members, from their names alone: 16 bits of CRC-32, the next free one on a collision.

    So a peer keeps its id when peers are added, removed or put in another order (but for a collision's sake).
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(names):
        number = zlib.crc32(name.encode()) & 0xFFFF
        while number in taken:
            number = (number + 1) & 0xFFFF
        taken.add(number)
        ids[name] = MEMBER_ID_BASE | number
    return ids


def _peer(peer: PeerFile, member_id: int) -> Peer:
    return Peer(
        name=peer.name,
        kind=peer.kind,
        interface=peer.interface,
        local=peer.local,
        address=peer.address,
        asn=peer.asn,
        bfd=BfdSettings(peer.bfd.interval_ms, peer.bfd.multiplier) if peer.bfd is not None else None,
        hold_time_s=peer.hold_time_s,
        max_prefixes=peer.max_prefixes,
        weight=peer.weight,
        member_id=member_id,
    )


def _check(name: str, check: CheckFile) -> CheckSettings:
    timeout_ms = check.timeout_ms if check.timeout_ms is not None else min(DEFAULT_TIMEOUT_MS, check.interval_ms)
    return CheckSettings(name, check.http, check.tcp, check.interval_ms, timeout_ms, check.rise, check.fall)


def _announcement(entry: AnnouncementFile, peers: list[PeerFile], remote: list[Prefix]) -> AnnouncementSettings:
    prefix = parse_prefix(entry.prefix)
    wanted = entry.to if entry.to is not None else ["provider"]
    to = tuple(peer.name for peer in peers if peer.name in wanted or peer.kind in wanted)
    when = entry.when
    if when is None:
        # What is ours is reached through the fabric: without it we would draw traffic that we cannot deliver.
        to_providers = any(peer.kind == "provider" for peer in peers if peer.name in to)
        own = prefix != DEFAULT_V4 and not any(contains(outer, prefix) for outer in remote)
        fabric = any(peer.kind == "fabric" for peer in peers)
        when = ["peer:fabric"] if to_providers and own and fabric else []
    return AnnouncementSettings(prefix, to, tuple(_condition(text, peers) for text in when))


def _condition(text: str, peers: list[PeerFile]) -> Condition:
    kind, _, name = text.partition(":")
    if kind == "peer" and name in KINDS:
        named = [peer.name for peer in peers if peer.kind == name]
        name = named[0] if len(named) == 1 else name
    if kind not in {"check", "peer", "path"}:
        raise AssertionError(f"the shape let {text!r} through")
    return Condition(kind, name)  # type: ignore[arg-type]  # checked above
