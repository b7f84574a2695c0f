"""Fills the templates of the ``bgp/`` folder. Text in, text out; the caller writes the files."""

from __future__ import annotations

from dataclasses import dataclass

from netctl.kits import template
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.prefix import Prefix, format_prefix


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One BGP neighbour of a router: ``local`` on ``interface`` is ours, ``address`` and ``asn`` are its."""

    name: str
    interface: str
    local: str
    address: str
    asn: int
    bfd: BfdSettings | None = None
    hold_time_s: int = 9


@dataclass(frozen=True, slots=True)
class Router:
    """A provider or a fabric router: passes on what it learns, and announces ``announce`` as its own."""

    name: str
    asn: int
    router_id: str
    neighbours: tuple[Neighbour, ...]
    announce: tuple[Prefix, ...] = ()


def render_exabgp(gateway: Gateway, peer: Peer, run: str, *, passive: bool = False, alternate: bool = False) -> str:
    """The speaker's ``exabgp-PEER.conf``. ``alternate`` differs for ExaBGP without meaning anything else."""
    return template("bgp", "exabgp.conf").substitute(
        run=run,
        address=peer.address,
        router_id=gateway.router_id,
        local=peer.local,
        local_asn=gateway.asn,
        asn=peer.asn,
        hold_time_s=peer.hold_time_s,
        passive="true" if passive or peer.listen else "false",
        port="  listen 179;" if peer.listen else "  connect 179;" if alternate else "",
    )


def render_bird(router: Router) -> str:
    """``bird.conf`` for BIRD 2.0; start it with a control socket of its own (``bird -s PATH``)."""
    neighbour_template = template("bgp", "bird-neighbour.conf")
    neighbours = [
        neighbour_template.substitute(_words(router, n), name=_symbol(n.name), bfd="on" if n.bfd else "off")
        for n in router.neighbours
    ]
    bfd_interfaces = [
        f'  interface "{n.interface}" {{ interval {n.bfd.interval_ms} ms; multiplier {n.bfd.multiplier}; }};'
        for n in router.neighbours
        if n.bfd
    ]
    return template("bgp", "bird.conf").substitute(
        router_id=router.router_id,
        announced="\n".join(f"  route {format_prefix(prefix)} unreachable;" for prefix in router.announce),
        bfd_interfaces="\n".join(bfd_interfaces),
        neighbours="\n".join(neighbours),
    )


def render_frr(router: Router) -> dict[str, str]:
    """``zebra``, ``bgpd`` and ``bfdd`` → their configuration, for FRR 8.4."""
    neighbour_template = template("bgp", "frr-bgpd-neighbour.conf")
    neighbours = [
        neighbour_template.substitute(
            _words(router, n),
            name=n.name,
            keepalive_s=max(1, n.hold_time_s // 3),
            bfd_profile=f" neighbor {n.address} bfd profile {n.name}" if n.bfd else "",
        ).rstrip("\n")
        for n in router.neighbours
    ]
    families = [
        line
        for n in router.neighbours
        for line in (f"  neighbor {n.address} activate", f"  neighbor {n.address} next-hop-self")
    ]
    profiles = [
        f" profile {n.name}\n  detect-multiplier {n.bfd.multiplier}\n"
        f"  receive-interval {n.bfd.interval_ms}\n  transmit-interval {n.bfd.interval_ms}\n exit"
        for n in router.neighbours
        if n.bfd
    ]
    return {
        "zebra": template("bgp", "frr-zebra.conf").substitute(name=router.name),
        "bgpd": template("bgp", "frr-bgpd.conf").substitute(
            name=router.name,
            local_asn=router.asn,
            router_id=router.router_id,
            neighbours="\n".join(neighbours),
            families="\n".join(families),
            announced="\n".join(f"  network {format_prefix(prefix)}" for prefix in router.announce),
        ),
        "bfdd": template("bgp", "frr-bfdd.conf").substitute(name=router.name, profiles="\n".join(profiles)),
    }


def _words(router: Router, neighbour: Neighbour) -> dict[str, str]:
    return {
        "interface": neighbour.interface,
        "local": neighbour.local,
        "local_asn": str(router.asn),
        "address": neighbour.address,
        "asn": str(neighbour.asn),
        "hold_time_s": str(neighbour.hold_time_s),
    }


def _symbol(name: str) -> str:
    """A name that BIRD's grammar takes: no keyword (``s`` and ``p`` are), no dash or dot."""
    return "n_" + "".join(c if c.isalnum() else "_" for c in name)
