"""Which kernel settings forwarding over nexthop groups depends on, and why. Reading and writing: ``sysctl.io``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One setting: ``path`` below /proc/sys; any of ``accepted`` is fine, the first is what we set.

    ``optional``: kernels without it forward all the same.
    """

    path: tuple[str, ...]
    accepted: tuple[str, ...]
    optional: bool = False

    @property
    def key(self) -> str:
        """As ``sysctl`` takes it; with slashes where an interface's name has a dot."""
        return ("/" if any("." in part for part in self.path) else ".").join(self.path)


def required(gateway: str, interfaces: Iterable[str], ipv6: bool = False) -> tuple[Sysctl, ...]:
    """What a gateway needs, for itself and for each of the ``interfaces`` of its peers."""
    wanted = [
        Sysctl(("net", "ipv4", "ip_forward"), ("1",)),
        # 1 announces every route again when a nexthop changes: a member's repoint would cost what the table costs.
        Sysctl(("net", "ipv4", "nexthop_compat_mode"), ("0",)),
        # Flows, not pairs of hosts, spread over the members.
        Sysctl(("net", "ipv4", "fib_multipath_hash_policy"), ("1",)),
        # With one seed everywhere two hash stages in a row choose alike and half the paths stay empty.
        Sysctl(("net", "ipv4", "fib_multipath_hash_seed"), (str(hash_seed(gateway)),), optional=True),
    ]
    # The stricter of `all` and the interface counts, and strict (1) drops what arrives over a path that we left.
    wanted += [Sysctl(("net", "ipv4", "conf", name, "rp_filter"), ("2", "0")) for name in ("all", *interfaces)]
    if ipv6:
        wanted += [
            Sysctl(("net", "ipv6", "conf", "all", "forwarding"), ("1",)),
            Sysctl(("net", "ipv6", "fib_multipath_hash_policy"), ("1",)),
        ]
    return tuple(wanted)


def hash_seed(gateway: str) -> int:
    """A seed for this node that is the same after a restart and differs from its neighbours': 1 .. 2^32 - 1."""
    return int.from_bytes(blake2b(gateway.encode(), digest_size=4).digest(), "big") or 1
