"""The embedded router's configuration: JSON, written by the lab."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from netctl.model.errors import UsageError
from netctl.model.gateway import MEMBER_ID_BASE, BfdSettings, Gateway, Peer
from netctl.model.prefix import Prefix, parse_prefix


class Neighbour(Struct, frozen=True):
    """One BGP neighbour: ``local`` on ``interface`` is ours, ``address`` and ``asn`` are its."""

    name: str
    interface: str
    local: str
    address: str
    asn: int
    bfd: BfdSettings | None = None
    hold_time_s: int = 9


class Settings(Struct, frozen=True):
    """The whole file."""

    name: str
    asn: int
    router_id: str
    runtime_dir: str
    neighbours: tuple[Neighbour, ...]
    announce: tuple[str, ...] = ()

    def prefixes(self) -> tuple[Prefix, ...]:
        return tuple(map(parse_prefix, self.announce))

    def gateway(self) -> Gateway:
        """The same as the speakers and liveness want it."""
        peers = tuple(
            Peer(
                name=n.name,
                kind="provider",
                interface=n.interface,
                local=n.local,
                address=n.address,
                asn=n.asn,
                bfd=n.bfd,
                hold_time_s=n.hold_time_s,
                member_id=MEMBER_ID_BASE + 1 + index,
                listen=True,  # gateways connect; their ExaBGP does not listen
            )
            for index, n in enumerate(self.neighbours)
        )
        return Gateway(self.name, "", self.asn, self.router_id, self.runtime_dir, peers)


def load(path: str) -> Settings:
    """Raises UsageError."""
    try:
        settings = msgspec.json.decode(Path(path).read_bytes(), type=Settings)
        settings.prefixes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "the lab writes it") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"{path}: {error}", "the lab writes it") from None
    return settings
