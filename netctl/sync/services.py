"""The Service of a name: as it is read and as it is written.

Source: Kubernetes API reference, Service v1. Selectorless: its slices are netctl's, not the endpoints controller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netctl.model.controller import ServiceType
from netctl.model.kube import MANAGER, OWNER_LABEL, SERVICES, Obj
from netctl.sync.objects import labels_of, mapping, metadata_of, ports_of


def is_ours(service_obj: Obj) -> bool:
    """Whether a Service is netctl's: its label says so."""
    return labels_of(service_obj).get(OWNER_LABEL) == MANAGER


@dataclass(frozen=True, slots=True)
class ServiceObject:
    """One observed Service, as far as netctl cares. ``ports``: name → number; None when they are none that netctl
    writes. ``plain``: type ClusterIP, and nothing in it that a hand has put there (a selector, unready addresses)."""

    headless: bool
    plain: bool
    ports: dict[str, int] | None


def read_service(obj: Obj) -> ServiceObject:
    """Any object, however wrong."""
    spec = mapping(obj.get("spec"))
    ports = ports_of(spec.get("ports"))
    return ServiceObject(
        spec.get("clusterIP") == "None",
        spec.get("type") == "ClusterIP" and not any(spec.get(key) for key in _DROPPED),
        dict(ports) if ports is not None and len(dict(ports)) == len(ports) else None,
    )


def service_object(
    observed: Obj | None,
    metadata: tuple[str, str],
    service_type: ServiceType,
    ports: Mapping[str, int],
    epoch: int,
) -> Obj:
    """A Service to create (``observed`` None) or to replace with; ``metadata``: name and namespace."""
    old = observed or {}
    spec = {key: value for key, value in mapping(old.get("spec")).items() if key not in _DROPPED}
    spec["type"] = "ClusterIP"
    if service_type == "headless":
        spec["clusterIP"] = "None"
    spec["ports"] = [{"name": name, "port": number, "protocol": "TCP"} for name, number in sorted(ports.items())]
    return {
        **old,
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": metadata_of(old, *metadata, {OWNER_LABEL: MANAGER}, epoch),
        "spec": spec,
    }


_DROPPED = frozenset(
    {
        "selector",
        "publishNotReadyAddresses",
        "externalName",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
    }
)
"""What a hand may have put into a Service of ours: what contradicts its type, or gives its name to other addresses."""
