"""What ``status``, ``holds`` and ``metrics`` show: plain data from the controller's state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from netctl.controller.cluster import Cluster
from netctl.controller.decide import Controller
from netctl.telemetry.metrics import Sample

SHOWN = 100
"""So many of the skipped and the failing are listed; all are counted."""


def status(controller: Controller, now_ns: int) -> dict[str, Any]:
    """The body of ``status``. ``steady``: every source and cluster can be read, and nothing waits to be written."""
    merger, clusters = controller.merger, list(controller.clusters.values())
    failing = controller.health.failing()
    return {
        "controller": controller.settings.identity,
        "since_wall": controller.since_wall,
        "config": controller.settings.source,
        "zone": controller.settings.dns.zone,
        "services": len(controller.services.names()),
        "instances": controller.services.total,
        "steady": steady(controller, now_ns),
        "panic": panic(controller),
        "sources": [
            {
                "name": s.name,
                "kind": s.kind,
                "state": s.state,
                "entries": s.entries,
                "revision": s.revision,
                "skipped": s.skipped,
                "reason": s.reason,
                "since_wall": s.since_wall,
            }
            for s in merger.sources()
        ],
        "skipped": [asdict(one) for one in merger.skipped(SHOWN)],
        "skipped_total": merger.skipped_total,
        "clusters": [cluster_view(cluster, now_ns) for cluster in clusters],
        "checkers": controller.health.checkers_view(),
        "failing": [
            {"service": i[0], "instance": i[1], "cloud": cloud, "detail": detail}
            for i, cloud, detail in failing[:SHOWN]
        ],
        "failing_total": len(failing),
        "holds": holds(controller),
        "foreign": [
            {"cluster": c.name, "resource": f.resource, "name": f.name, "reason": f.reason}
            for c in clusters
            for found in c.foreign.values()
            for f in found
        ],
        "refused": [
            {"cluster": c.name, "resource": resource, "name": name, "reason": reason}
            for c in clusters
            for resource, name, reason in c.refusals(now_ns)
        ],
    }


def steady(controller: Controller, now_ns: int) -> bool:
    return (
        not controller.busy(now_ns)
        and all(source.state == "synced" for source in controller.merger.sources())
        and all(c.state() in {"leading", "standby"} and not c.pending for c in controller.clusters.values())
    )


def panic(controller: Controller) -> list[str]:
    """The services of which nothing can serve anywhere."""
    found = {s for c in controller.clusters.values() for s, wanted in c.wanted.items() if wanted.panic}
    return sorted(found)


def cluster_view(cluster: Cluster, now_ns: int) -> dict[str, Any]:
    """``services`` and ``slices``: what the namespace holds, foreign ones included."""
    return {
        "name": cluster.name,
        "cloud": cluster.settings.cloud,
        "state": cluster.state(),
        "leader": cluster.lease.holder,
        "epoch": cluster.lease.epoch,
        "services": len(cluster.observed.services),
        "slices": cluster.observed.slice_count,
        "pending": cluster.pending,
        "writes_total": cluster.writes_total,
        "reason": cluster.reason(),
        "since_wall": cluster.since_wall,
        "budget": [asdict(usage) for usage in cluster.removals.usage(now_ns)],
    }


def holds(controller: Controller) -> list[dict[str, Any]]:
    """The holds as ``status`` and ``holds`` show them."""
    return [
        {
            "id": hold.id,
            "service": hold.service,
            "cluster": hold.cluster,
            "kind": hold.kind,
            "instances": list(hold.instances),
            "reason": hold.reason,
            "since_wall": hold.since_wall,
        }
        for hold in controller.holds()
    ]


def samples(controller: Controller, now_ns: int) -> Iterator[Sample]:
    """``netctl_controller_…``, for Prometheus."""
    yield _gauge("services", len(controller.services.names()), "services that are served")
    yield _gauge("instances", controller.services.total, "instances that are served, held ones included")
    yield _gauge("steady", steady(controller, now_ns), "1: everything is known and as it should be")
    yield _gauge("panic_services", len(panic(controller)), "services of which no instance can serve anywhere")
    yield _gauge("holds", len(controller.holds()), "removals that wait for an operator, for health or for the budget")
    yield _gauge("failing_instances", len(controller.health.failing()), "instances that checks call failing")
    for source in controller.merger.sources():
        labels = {"source": source.name}
        yield _gauge("source_synced", source.state == "synced", "1: the registry can be read", labels)
        yield _gauge("source_entries", source.entries, "keys in the registry", labels)
        yield _gauge("source_skipped", source.skipped, "entries that cannot be used", labels)
    for checker in controller.health.checkers.values():
        labels = {"cloud": checker.cloud, "checker": checker.name}
        yield _gauge("checker_connected", checker.key is not None, "1: the checker is connected", labels)
    for cluster in controller.clusters.values():
        labels = {"cluster": cluster.name}
        yield _gauge("cluster_leading", cluster.leading, "1: this controller may write the cluster", labels)
        yield _gauge("cluster_reachable", cluster.state() in {"leading", "standby"}, "1: it can be watched", labels)
        yield _gauge("cluster_epoch", cluster.lease.epoch, "transitions of the cluster's Lease", labels)
        yield _gauge("cluster_pending", cluster.pending, "services that wait to be looked at or written", labels)
        yield _gauge("cluster_foreign", sum(map(len, cluster.foreign.values())), "objects of others in the way", labels)
        yield _gauge("cluster_refused", len(cluster.refusals(now_ns)), "objects that could not be written", labels)
        writes = Sample("netctl_controller_writes_total", cluster.writes_total, labels, "writes that were applied")
        yield writes
        for usage in cluster.removals.usage(now_ns):
            window = {**labels, "window_s": str(usage.window_s)}
            yield _gauge("budget_used", usage.used, "removals without corroboration in the window", window)
            yield _gauge("budget_limit", usage.limit, "how many there may be", window)


def _gauge(name: str, value: float, help_: str, labels: dict[str, str] | None = None) -> Sample:
    return Sample(f"netctl_controller_{name}", float(value), labels or {}, help_)
