"""How fast the kernel is programmed, beside ``ip -batch`` on the same table: ``python tests/bench/fib.py [ROUTES]``.

Needs root (or ``unshare -rn``): works in a network namespace of its own, which ends with the process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from netctl.fib.io import NetlinkKernel
from netctl.fib.plan import Fib, step
from netctl.model.prefix import Prefix, format_prefix, parse_address
from netctl.model.routing import (
    ROUTE_METRIC,
    ROUTE_PROTOCOL,
    DeleteNexthop,
    DeleteRoutes,
    PutGroup,
    PutMember,
    PutRoutes,
    Via,
)

CLONE_NEWNET = 0x40000000
A, B = Via(parse_address("10.0.1.2"), "left"), Via(parse_address("10.0.2.2"), "right")
M1, M2, GROUP = 0x6E000001, 0x6E000002, 0x6E1FFFF0
MEMBERS = ((M1, 1), (M2, 1))
ROUNDS = 5


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def make_namespace() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise SystemExit(f"cannot make a network namespace ({os.strerror(ctypes.get_errno())}): run it as root")
    for name, address in (("left", "10.0.1.1/30"), ("right", "10.0.2.1/30")):
        far = f"{name}-far"
        for words in (
            f"link add {name} type veth peer name {far}",
            f"addr add {address} dev {name}",
            f"link set {name} up",
            f"link set {far} up",
        ):
            subprocess.run(["ip", *words.split()], check=True)
    Path("/proc/sys/net/ipv4/nexthop_compat_mode").write_text("0")


def install_netctl(kernel: NetlinkKernel, table: tuple[Prefix, ...]) -> float:
    seconds = timed(lambda: check(kernel.apply([PutRoutes(table, GROUP)])))
    check(kernel.apply([DeleteRoutes(table)]))
    return seconds


def install_ip(kernel: NetlinkKernel, table: tuple[Prefix, ...], batch: str) -> float:
    seconds = timed(lambda: subprocess.run(["ip", "-batch", batch], check=True))
    check(kernel.apply([DeleteRoutes(table)]))
    return seconds


def install_fib(kernel: NetlinkKernel, table: tuple[Prefix, ...]) -> float:
    """The whole way: the FIB's planning included, in bounded steps."""
    fib = Fib()
    fib.adopt(kernel.dump())

    def work() -> None:
        for prefix in table:
            fib.set_route(prefix, frozenset(MEMBERS))
        while not fib.settled:
            check(step(fib, kernel))

    seconds = timed(work)
    check(kernel.apply([DeleteRoutes(table)]))
    return seconds


def check(failures: object) -> None:
    if failures:
        raise SystemExit(f"the kernel refused: {failures}")


def repoints(kernel: NetlinkKernel) -> list[float]:
    """Milliseconds from the call to the kernel's answer."""
    return [timed(lambda at=at: check(kernel.apply([PutMember(M1, at)]))) * 1e3 for at in (B, A) * 50]  # type: ignore[misc]


def main() -> None:
    routes = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    make_namespace()
    kernel = NetlinkKernel()
    check(kernel.apply([PutMember(M1, A), PutMember(M2, B), PutGroup(GROUP, MEMBERS)]))
    table = tuple(b"\x20" + (0x14000000 + number).to_bytes(4, "big") for number in range(routes))
    with tempfile.NamedTemporaryFile("w", suffix=".batch") as batch:
        batch.writelines(
            f"route replace {format_prefix(prefix)} nhid {GROUP} proto {ROUTE_PROTOCOL} metric {ROUTE_METRIC}\n"
            for prefix in table
        )
        batch.flush()
        ours, planned, theirs = [], [], []
        for _ in range(ROUNDS):  # in turns, so that the machine's moods meet all three
            ours.append(install_netctl(kernel, table))
            planned.append(install_fib(kernel, table))
            theirs.append(install_ip(kernel, table, batch.name))
    small = repoints(kernel)
    check(kernel.apply([PutRoutes(table, GROUP)]))
    large = repoints(kernel)
    dump = timed(kernel.dump)
    peer = statistics.median(theirs)
    print(f"install {routes} routes at a group, median of {ROUNDS}:")
    for name, seconds in (("netctl", ours), ("netctl, planned", planned), ("ip -batch", theirs)):
        middle = statistics.median(seconds)
        print(f"  {name:16}{routes / middle:12,.0f} routes/s {middle * 1e3:9.1f} ms   {peer / middle:5.2f} x ip -batch")
    print("repoint one member, ms (median, worst of 100):")
    print(f"  under 0 routes      {statistics.median(small):8.3f} {max(small):8.3f}")
    print(f"  under {routes:<13} {statistics.median(large):8.3f} {max(large):8.3f}")
    print(f"dump {routes} routes: {dump * 1e3:.0f} ms")
    check(kernel.apply([DeleteNexthop(GROUP)]))


if __name__ == "__main__":
    main()
