"""From a change in etcd to CoreDNS' other answer: netctl beside the least that could be done, in one run.

    make bench B=names             (as root; about a minute)
    python -m tests.bench.names --services 500 --instances 20 --repeats 3 --changes 300

- netctl: an instance in etcd moves to another address, leaves, or comes back; ``netctl controller run`` sees to the
  rest. Timed from the moment the request leaves for etcd;
- floor: a bare program PUTs the EndpointSlice itself. Timed from the moment the PUT leaves;
- do-nothing loop: a bare program watches etcd and PUTs the slice, whatever is there. Timed as netctl is.

All use the ServiceAccount that netctl ships, one Kubernetes API, one CoreDNS with the shipped Corefile. They take turns
in blocks, and the controller is stopped (SIGSTOP) while it is the others' turn. CoreDNS is asked over UDP until its
answer is right. Exit code 1: netctl's median is more than 2 x the floor's, or its p99 is over 40 ms.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from netctl.model.errors import NetctlError
from tests.bench.naming.clients import MOST_ADDRESSES, Asker, Registry
from tests.bench.naming.floor import Change
from tests.bench.naming.site import RunningController, Site, build_site, key_of, name_of
from tests.bench.naming.subjects import Floor, Loop, Netctl, Services, Subject, entry
from tests.bench.rig import inside_new_namespaces

MEDIAN_X, P99_MS = 2.0, 40.0
"""The targets."""
FLOOR_SERVICES = 20
KINDS = ("move", "move", "move", "leave", "return")
WARM_UP = 5
"""Changes at the start of a block that do not count."""
LATE_S = 5.0
"""A change that takes longer ends the benchmark."""


@dataclass
class Figures:
    """Latencies in ms: of each repeat, and of each kind of change."""

    repeats: list[list[float]] = field(default_factory=list)
    kinds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def all(self) -> list[float]:
        return list(itertools.chain(*self.repeats))

    def note(self, kind: str, latency_ms: float) -> None:
        self.repeats[-1].append(latency_ms)
        self.kinds.setdefault(kind, []).append(latency_ms)


class Bench:
    """Makes changes and waits for their answers."""

    def __init__(self, asker: Asker, fresh: Iterator[str], seed: int) -> None:
        self._asker = asker
        self._fresh = fresh
        self._random = random.Random(seed)

    def block(self, subject: Subject, figures: Figures, changes: int) -> None:
        """One turn of a subject."""
        subject.begin()
        gone: list[tuple[str, str]] = []
        kinds = itertools.cycle(KINDS)
        for turn in range(WARM_UP + changes):
            kind = next(kinds)
            latency_ms = self._change(subject, kind, gone)
            if turn >= WARM_UP:
                figures.note(kind, latency_ms)
            time.sleep(self._random.uniform(0.001, 0.01))  # what follows a change is over before the next one
        for service, instance in gone:
            self._make(subject, Change(service, instance, next(self._fresh)))
        subject.end()

    def _change(self, subject: Subject, kind: str, gone: list[tuple[str, str]]) -> float:
        if kind == "return":
            service, instance = gone.pop()
        else:
            service = self._random.choice(list(subject.services))
            instance = self._random.choice(list(subject.services[service]))
        if kind == "leave":
            gone.append((service, instance))
        return self._make(subject, Change(service, instance, "" if kind == "leave" else next(self._fresh)))

    def _make(self, subject: Subject, change: Change) -> float:
        """Returns how long it took, in ms. Raises TimeoutError."""
        instances = subject.services[change.service]
        before = instances.pop(change.instance, "")
        if change.address:
            instances[change.instance] = change.address
        there = [change.address] if change.address else []
        subject.send(change)
        answered_ns = self._asker.until(name_of(change.service), there, before, len(instances), LATE_S)
        return (answered_ns - subject.hear()) / 1e6


def addresses() -> Iterator[str]:
    """Never the same twice."""
    return (f"10.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in itertools.count(1))


def catalog(prefix: str, services: int, instances: int, fresh: Iterator[str]) -> Services:
    return {f"{prefix}-{s}": {f"vm-{i}": next(fresh) for i in range(instances)} for s in range(services)}


def start_netctl(site: Site, registry: Registry, asker: Asker, services: Services) -> Netctl:
    """Fill the registry, start the controller, wait until all is in CoreDNS."""
    for service, instances in services.items():
        registry.put_all({key_of(service, name): entry(address) for name, address in instances.items()})
    began = time.monotonic()
    controller = RunningController(site)
    controller.steady(len(services), 300)
    for service, instances in services.items():
        asker.until(name_of(service), instances.values(), "", len(instances), 60)
    print(f"first synchronisation, start of the controller included: {time.monotonic() - began:.1f} s", flush=True)
    return Netctl(registry, controller, services)


def quantile(figures: Sequence[float], share: float) -> float:
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * share))]


def report(results: dict[str, Figures], loop: Loop) -> bool:
    """Print the table; whether the targets are met."""
    print(f"\n{'ms':16}{'median':>8}{'p95':>8}{'p99':>8}{'max':>8}   medians of the repeats   by kind")
    for name, figures in results.items():
        every = figures.all
        cells = "".join(f"{quantile(every, share):8.1f}" for share in (0.5, 0.95, 0.99, 1.0))
        repeats = " ".join(f"{statistics.median(repeat):.1f}" for repeat in figures.repeats)
        kinds = ", ".join(f"{kind} {statistics.median(some):.1f}" for kind, some in figures.kinds.items())
        print(f"{name:16}{cells}   {repeats:22}   {kinds}")
    told = statistics.median(loop.told_ms)
    put = statistics.median((done.answered - done.sent) / 1e6 for done in loop.done)
    print(f"in the do-nothing loop (medians): etcd to its watch {told:.1f}, PUT to the API's answer {put:.1f}")
    ours = results["netctl"]
    for name in ("floor", loop.name):
        pairs = zip(ours.repeats, results[name].repeats, strict=True)
        each = " ".join(f"{statistics.median(one) / statistics.median(other):.2f}" for one, other in pairs)
        ratio = statistics.median(ours.all) / statistics.median(results[name].all)
        print(f"netctl / {name}: {ratio:.2f} x (repeats: {each})")
    ratio = statistics.median(ours.all) / statistics.median(results["floor"].all)
    p99 = quantile(ours.all, 0.99)
    targets = {
        f"median at most {MEDIAN_X:g} x the floor's: {ratio:.2f} x": ratio <= MEDIAN_X,
        f"p99 at most {P99_MS:g} ms: {p99:.1f} ms": p99 <= P99_MS,
    }
    for what, is_met in targets.items():
        print(f"{what}: {'met' if is_met else 'MISSED'}")
    return all(targets.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--changes", type=int, default=300, help="of each subject in each repeat")
    parser.add_argument("--block", type=int, default=50, help="changes in one turn")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if not 2 <= arguments.instances <= MOST_ADDRESSES:
        parser.error(f"--instances: 2 to {MOST_ADDRESSES}, which is what fits into an answer over UDP")
    print(f"{arguments.services} services x {arguments.instances} instances, ", end="")
    print(f"{arguments.repeats} repeats of {arguments.changes} changes in blocks of {arguments.block}", flush=True)
    try:
        site = build_site()
        registry, asker, fresh = Registry(*site.registry), Asker(site.dns_server), addresses()
        services = catalog("orders", arguments.services, arguments.instances, fresh)
        subjects: list[Subject] = [start_netctl(site, registry, asker, services)]
        subjects += [Floor(site, catalog("floor", FLOOR_SERVICES, arguments.instances, fresh))]
        loop = Loop(site, catalog("loop", FLOOR_SERVICES, arguments.instances, fresh), registry)
        subjects += [loop]
        bench = Bench(asker, fresh, arguments.seed)
        results = {subject.name: Figures() for subject in subjects}
        subjects[0].end()
        for _ in range(arguments.repeats):
            for figures in results.values():
                figures.repeats.append([])
            for _ in range(-(-arguments.changes // arguments.block)):
                for subject in subjects:
                    bench.block(subject, results[subject.name], arguments.block)
    except (NetctlError, TimeoutError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, NetctlError) else 1
    return 0 if report(results, loop) else 1


if __name__ == "__main__":
    sys.exit(inside_new_namespaces(main))
