"""The dry run: what a controller would write that knows these lists and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netctl.controller import events as e
from netctl.controller.decide import Controller
from netctl.kube.informer import Relisted
from netctl.model.kube import ENDPOINT_SLICES, SERVICES, KubeList
from netctl.model.ports import Listed


def difference(
    controller: Controller,
    sources: Mapping[str, Listed],
    clusters: Mapping[str, tuple[KubeList, KubeList]],
    now_ns: int,
) -> list[dict[str, Any]]:
    """``clusters``: name → Services and EndpointSlices. One row for each write, by cluster and service."""
    for name, lists in clusters.items():
        for resource, found in zip((SERVICES, ENDPOINT_SLICES), lists, strict=True):
            controller.handle(e.ClusterSaid(name, resource, Relisted(found.items, found.resource_version)), now_ns)
    for source, listed in sources.items():
        controller.handle(e.SourceSaid(source, listed), now_ns)
    while controller.busy(now_ns):
        controller.work(now_ns)
    return [
        {
            "cluster": cluster.name,
            "verb": write.verb,
            "resource": write.resource.plural,
            "name": write.name,
            "why": write.why,
        }
        for cluster in controller.clusters.values()
        for service in sorted({*controller.services.names(), *cluster.observed.names()})
        for write in controller.plan(service, cluster, controller.wanted(service, cluster)).writes
    ]
