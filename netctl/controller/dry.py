"""The dry run: what a controller would write that knows these lists and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from netctl.controller import events as e
from netctl.controller.cluster import Cluster
from netctl.controller.decide import Controller
from netctl.controller.views import SHOWN, holds
from netctl.kube.informer import Relisted
from netctl.model.kube import ENDPOINT_SLICES, SERVICES, KubeList, Write
from netctl.model.ports import Listed
from netctl.sync.objects import served
from netctl.sync.plan import plan


def difference(
    controller: Controller,
    sources: Mapping[str, Listed],
    clusters: Mapping[str, tuple[KubeList, KubeList]],
    now_ns: int,
) -> dict[str, Any]:
    """``clusters``: name → Services and EndpointSlices. ``writes``: a row for each, by cluster and service; ``holds``:
    what the shrink guard would hold back (as ``netctl holds list`` shows it, and of how many ``served``); ``skipped``:
    the entries that are not used, the first of ``skipped_total``."""
    for name, lists in clusters.items():
        for resource, found in zip((SERVICES, ENDPOINT_SLICES), lists, strict=True):
            controller.handle(e.ClusterSaid(name, resource, Relisted(found.items, found.resource_version)), now_ns)
    for source, listed in sources.items():
        controller.handle(e.SourceSaid(source, listed), now_ns)
    while controller.busy(now_ns):
        controller.work(now_ns)
    return {
        "writes": [
            {
                "cluster": cluster.name,
                "verb": write.verb,
                "resource": write.resource.plural,
                "name": write.name,
                "why": write.why,
            }
            for cluster in controller.clusters.values()
            for service in sorted({*controller.services.names(), *cluster.observed.names()})
            for write in _writes(controller, cluster, service)
        ],
        "holds": [{**hold, "served": _served(controller, hold["service"])} for hold in holds(controller)],
        "skipped": [asdict(one) for one in controller.merger.skipped(SHOWN)],
        "skipped_total": controller.merger.skipped_total,
    }


def _writes(controller: Controller, cluster: Cluster, service: str) -> list[Write]:
    """A new Service is followed by its slices, which in earnest are planned when it is there and has a uid."""
    wanted = controller.wanted(service, cluster)
    writes = list(controller.plan(service, cluster, wanted).writes)
    if not writes or (writes[-1].verb, writes[-1].resource) != ("create", SERVICES):
        return writes
    created = writes[-1].object
    created = {**created, "metadata": {**created["metadata"], "uid": "not-yet-known"}}
    namespace, slices = cluster.settings.namespace, cluster.observed.slices(service)
    then = plan(service, wanted, created, slices, namespace=namespace, epoch=cluster.lease.epoch)
    return [*writes, *(write for write in then.writes if write.resource is ENDPOINT_SLICES)]


def _served(controller: Controller, service: str) -> int:
    """How many instances the clusters serve now."""
    return len({name for c in controller.clusters.values() for name in served(service, c.observed.slices(service))})
