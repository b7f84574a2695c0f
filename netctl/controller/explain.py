"""``explain``: why a service is answered as it is, in each cluster."""

from __future__ import annotations

from typing import Any

from netctl.controller.cluster import Cluster
from netctl.controller.decide import Controller
from netctl.model.errors import UsageError
from netctl.sync.objects import served


def explain(controller: Controller, service: str) -> dict[str, Any]:
    """The body of ``explain``. Raises UsageError for a service that nobody knows."""
    skipped = [{"source": s.source, "key": s.key, "reason": s.reason} for s in controller.merger.skipped_of(service)]
    clusters = list(controller.clusters.values())
    known = service in controller.services.names() or any(service in c.observed.names() for c in clusters)
    if not known and not skipped:
        names = sorted(controller.services.names())
        some = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        raise UsageError(f"there is no service {service!r}", f"services: {some}" if names else "there are none yet")
    listed = controller.merger.instances(service)
    hold = controller.services.hold(service)
    instances = []
    for name, one in sorted(controller.checked(service).items()):
        verdict, detail = controller.health.verdict(one)
        instances.append(
            {
                "name": name,
                "cloud": one.cloud,
                "address": one.address,
                "listed": name in listed,
                "held": name not in listed,
                "healthy": one.healthy,
                "verdict": verdict,
                "detail": detail,
            }
        )
    return {
        "service": service,
        "sources": [
            {"name": name, "instances": list(names), "state": controller.merger.state(name).state}
            for name, names in controller.merger.said(service)
        ],
        "skipped": skipped,
        "hold": hold.reason if hold is not None else "",
        "instances": instances,
        "clusters": [_cluster(controller, cluster, service) for cluster in clusters],
    }


def _cluster(controller: Controller, cluster: Cluster, service: str) -> dict[str, Any]:
    """``answers``: what is ready in the cluster's slices now, whoever wrote them."""
    found = served(service, cluster.observed.slices(service))
    refused = cluster.refused.get(service)
    return {
        "name": cluster.name,
        "why": _why(controller, cluster, service),
        "answers": sorted({one.instance.address for one in found.values() if one.ready}),
        "pending": cluster.is_pending(service),
        "error": refused[2] if refused is not None else "",
    }


def _why(controller: Controller, cluster: Cluster, service: str) -> str:
    foreign = cluster.foreign.get(service)
    if foreign:
        return "; ".join(f"{one.resource}/{one.name} is {one.reason}" for one in foreign)
    if cluster.state() == "unreachable":
        return f"the cluster cannot be reached, it stays as it was: {cluster.reason()}"
    wanted = controller.wanted(service, cluster)
    why = wanted.why if wanted is not None else "no instance is left, so there is no such name"
    if not cluster.leading:
        return f"{why} (written by {cluster.lease.holder or 'nobody at the moment'})"
    return why
