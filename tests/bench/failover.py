"""Failover of one of two providers, silently cut: netctl, BIRD and FRR as the gateway, side by side in one run.

    make bench B=failover          (as root; about 5 minutes with ARGS="--repeats 3")
    python -m tests.bench.failover --sizes 10,1000 --repeats 3 --gateways netctl,bird

Each gateway learns the same prefixes from two BIRD providers with BFD, forwards flows spread over the whole table, and
loses provider pa's link without a carrier change. The figure is the worst flow's outage, timed at the receiver by the
kernel. It depends on the phase of the cut by one BFD interval, so every figure is the median of several cuts.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time

from tests.bench.gateways import GATEWAYS, Gateway
from tests.bench.rig import begin_anew, bfd_up, build, inside_new_namespaces, measure, provider, wait_for


def one_size(gateway: Gateway, size: int, arguments: argparse.Namespace) -> list[float]:
    """Worst flow's outage in ms of each cut; an endless outage counts as the whole time it was watched."""
    for name in ("pa", "pb"):
        provider(name, size, arguments.bfd_ms)
    began = time.monotonic()
    gateway.start(arguments.bfd_ms)
    figures: list[float] = []
    try:
        wait_for(
            lambda: bfd_up() and gateway.settled(size), arguments.settle_s, f"{gateway.name}: no full table of {size}"
        )
        installed_s = time.monotonic() - began
        for turn in range(arguments.repeats):
            wait_for(
                lambda: bfd_up() and gateway.settled(size),
                arguments.settle_s,
                f"{gateway.name}: the table did not come back",
            )
            time.sleep(0.013 * turn)  # another phase of the BFD interval each time
            report = measure(size, arguments.flows, arguments.interval_us, 3.0 if size <= 10_000 else 8.0)
            hit = [flow for flow in report.flows if flow.outages]
            if not hit or len(hit) == len(report.flows):
                print(f"{gateway.name} {size}: {len(hit)} of {len(report.flows)} flows were hit, cut not counted")
                continue
            worst = max(o.gap_ns if o.end_ns else report.ended_ns - o.start_ns for f in hit for o in f.outages)
            figures.append(worst / 1e6)
            print(f"{gateway.name:7}{size:>9} cut {turn + 1}: {figures[-1]:8.1f} ms, {len(hit)} flows hit", flush=True)
        print(f"{gateway.name:7}{size:>9} whole table in the kernel after {installed_s:.1f} s", flush=True)
    except TimeoutError as error:
        print(f"{gateway.name:7}{size:>9} gave up: {error}", flush=True)
    finally:
        begin_anew()
    return figures


def table(results: dict[tuple[str, int], list[float]], names: list[str], sizes: list[int]) -> None:
    """Medians and spreads, with the ratio of each peer to netctl."""
    print("\nworst flow's outage in ms: median (least-most) of the cuts; x = ratio to netctl in the same run")
    print(f"{'prefixes':>9}  " + "  ".join(f"{name:>32}" for name in names))
    for size in sizes:
        cells = []
        own = results.get(("netctl", size))
        for name in names:
            figures = results.get((name, size))
            if not figures:
                cells.append(f"{'-':>32}")
                continue
            median = statistics.median(figures)
            ratio = f"  {median / statistics.median(own):5.2f}x" if own else ""
            cells.append(f"{f'{median:.0f} ({min(figures):.0f}-{max(figures):.0f}){ratio}':>32}")
        print(f"{size:>9}  " + "  ".join(cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,10000,100000")
    parser.add_argument("--gateways", default="netctl,bird,frr")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--flows", type=int, default=24)
    parser.add_argument("--interval-us", type=int, default=4000)
    parser.add_argument("--bfd-ms", type=int, default=50)
    parser.add_argument("--settle-s", type=float, default=180.0)
    arguments = parser.parse_args()
    sizes = [int(s) for s in re.split(r"[,\s]+", arguments.sizes)]
    names = arguments.gateways.split(",")
    build()
    results: dict[tuple[str, int], list[float]] = {}
    for size in sizes:
        for name in names:
            results[name, size] = one_size(GATEWAYS[name](), size, arguments)
    table(results, names, sizes)
    for name in names:
        first, last = results[name, sizes[0]], results[name, sizes[-1]]
        if first and last and len(sizes) > 1:
            ratio = statistics.median(last) / statistics.median(first)
            print(f"{name}: its figure at {sizes[-1]} prefixes is {ratio:.2f} x its own at {sizes[0]}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(inside_new_namespaces(main))
