"""Services and EndpointSlices as they are read and as they are written.

Source: Kubernetes API reference, Service v1 and EndpointSlice discovery.k8s.io/v1. Reading never raises, whatever an
object holds: what makes no sense is as good as missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netctl.model.controller import ServiceType
from netctl.model.kube import (
    ENDPOINT_SLICES,
    EPOCH_ANNOTATION,
    HEADLESS_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    SERVICE_NAME_LABEL,
    Obj,
)
from netctl.model.naming import Instance
from netctl.sync.want import Endpoint

PortSet = tuple[tuple[str, int], ...]
Group = tuple[str, PortSet]
"""(addressType, ports): what all endpoints of a slice share."""

_OUR_NAME = re.compile(r"(.+)-netctl-([1-9][0-9]{0,8})")
TARGET_KIND = "Instance"
TARGET_API = "netctl.io/v1"


@dataclass(frozen=True, slots=True)
class Slice:
    """One observed EndpointSlice. ``number`` is the N of ``SERVICE-netctl-N``, 0 for other names; ``manager`` is the
    label's value, empty when it has none; ``family`` its addressType; ``ports`` None: none that netctl writes."""

    name: str
    number: int
    manager: str
    family: str
    ports: PortSet | None
    endpoints: list[Any]
    obj: Obj

    @property
    def ours(self) -> bool:
        return self.manager == MANAGER

    @property
    def group(self) -> Group | None:
        return (self.family, self.ports) if self.ports is not None else None


def read_slice(obj: Obj) -> Slice:
    """Any object, however wrong."""
    name = name_of(obj)
    match = _OUR_NAME.fullmatch(name)
    endpoints = obj.get("endpoints")
    return Slice(
        name,
        int(match[2]) if match else 0,
        _text(labels_of(obj).get(MANAGED_BY_LABEL)),
        _text(obj.get("addressType")),
        ports_of(obj.get("ports")),
        endpoints if isinstance(endpoints, list) else [],
        obj,
    )


def service_of(obj: Obj) -> str | None:
    """Which service's plan an EndpointSlice concerns: by its name when that is one of ours (also when somebody took or
    changed the label, or has an object of his own under that name), else by its label; None: no service's."""
    match = _OUR_NAME.fullmatch(name_of(obj))
    return match[1] if match else _text(labels_of(obj).get(SERVICE_NAME_LABEL)) or None


def epoch_of(obj: Obj) -> int | None:
    """The Lease's transitions under which the object was written; None: it does not say."""
    text = _text(mapping(mapping(obj.get("metadata")).get("annotations")).get(EPOCH_ANNOTATION))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def served(service: str, slices: Iterable[Obj]) -> dict[str, Endpoint]:
    """Who is in our slices of a service, by instance name: what a controller that starts takes for served.

    Nothing is known of weight and source; ``ready`` is the slice's.
    """
    found: dict[str, Endpoint] = {}
    for read in map(read_slice, slices):
        if not read.ours:
            continue
        for raw in read.endpoints:
            name, address = instance_of(raw), address_of(raw)
            if name and address:
                zone, hostname = _text(raw.get("zone")), _text(raw.get("hostname"))
                instance = Instance(service, name, address, read.ports or (), zone, hostname=hostname)
                if name not in found or not found[name].ready:
                    found[name] = Endpoint(instance, is_ready(raw))
    return found


# --- fields ----------------------------------------------------------------------------------------------------------


def name_of(obj: Obj) -> str:
    return _text(mapping(obj.get("metadata")).get("name"))


def uid_of(obj: Obj) -> str:
    return _text(mapping(obj.get("metadata")).get("uid"))


def labels_of(obj: Obj) -> Mapping[str, Any]:
    return mapping(mapping(obj.get("metadata")).get("labels"))


def instance_of(raw: Any) -> str:
    """The instance's name in an endpoint, empty when it has none."""
    try:  # each change asks this (and address_of, is_ready) many times of each endpoint of its service
        target = raw["targetRef"]
        return _text(target["name"]) if target["kind"] == TARGET_KIND else ""
    except (KeyError, TypeError):
        return ""


def address_of(raw: Any) -> str:
    """An endpoint's first address (the only one that counts), empty when it has none."""
    try:
        addresses = raw["addresses"]
    except (KeyError, TypeError):
        return ""
    return _text(addresses[0]) if isinstance(addresses, list) and addresses else ""


def is_ready(raw: Any) -> bool:
    """As CoreDNS reads it: not said is ready."""
    try:
        return raw["conditions"]["ready"] is not False
    except (KeyError, TypeError):
        return True


def mapping(value: Any) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def ports_of(value: Any) -> PortSet | None:
    """A ``ports`` list as netctl writes it: named, TCP; None when it is another one."""
    if not isinstance(value, list):
        return () if value is None else None
    found: list[tuple[str, int]] = []
    for port in map(mapping, value):
        name, number = port.get("name"), port.get("port")
        plain = port.get("protocol", "TCP") == "TCP" and port.get("appProtocol") is None
        if not (plain and isinstance(name, str) and isinstance(number, int)):
            return None
        found.append((name, number))
    return tuple(sorted(found))


# --- what we write ---------------------------------------------------------------------------------------------------


def group_of(instance: Instance) -> Group:
    return ("IPv6" if ":" in instance.address else "IPv4", instance.ports)


def endpoint_data(endpoint: Endpoint) -> Obj:
    """One entry of ``endpoints``."""
    instance = endpoint.instance
    data: Obj = {
        "addresses": [instance.address],
        "conditions": {"ready": endpoint.ready},
        "targetRef": {"kind": TARGET_KIND, "name": instance.name, "apiVersion": TARGET_API},
        "zone": instance.cloud,
    }
    if instance.hostname:
        data["hostname"] = instance.hostname
    return data


def slice_labels(service: str, service_type: ServiceType) -> dict[str, str]:
    labels = {SERVICE_NAME_LABEL: service, MANAGED_BY_LABEL: MANAGER}
    if service_type == "headless":
        labels[HEADLESS_LABEL] = ""
    return labels


def owner_reference(service: str, uid: str) -> Obj:
    """So that a slice goes when its Service goes. Without blockOwnerDeletion, which would need more rights."""
    return {"apiVersion": "v1", "kind": "Service", "name": service, "uid": uid}


def slice_metadata_is_right(obj: Obj, labels: Mapping[str, str], uid: str) -> bool:
    """Our labels are there, the headless one only when it shall be, and the Service (and no older one) is the owner."""
    observed = labels_of(obj)
    if any(observed.get(key) != value for key, value in labels.items()):
        return False
    if HEADLESS_LABEL in observed and HEADLESS_LABEL not in labels:
        return False
    owners = _owners(obj)
    return [owner.get("uid") for owner in owners if owner.get("kind") == "Service"] == [uid]


def slice_object(
    observed: Obj | None,
    metadata: tuple[str, str, Mapping[str, str], Obj],
    group: Group,
    endpoints: Sequence[Any],
    epoch: int,
) -> Obj:
    """A slice to create (``observed`` None) or to replace with. ``metadata``: name, namespace, labels, owner."""
    name, namespace, labels, owner = metadata
    old = observed or {}
    meta = metadata_of(old, name, namespace, labels, epoch)
    meta["ownerReferences"] = [*(other for other in _owners(old) if other.get("kind") != "Service"), owner]
    if HEADLESS_LABEL not in labels:
        meta["labels"].pop(HEADLESS_LABEL, None)
    return {
        **old,
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": ENDPOINT_SLICES.kind,
        "metadata": meta,
        "addressType": group[0],
        "endpoints": list(endpoints),
        "ports": [{"name": port, "port": number, "protocol": "TCP"} for port, number in group[1]],
    }


def metadata_of(old: Obj, name: str, namespace: str, labels: Mapping[str, str], epoch: int) -> Obj:
    """What others put there stays; our labels, our epoch."""
    meta = mapping(old.get("metadata"))
    return {
        **meta,
        "name": name,
        "namespace": namespace,
        "labels": {**mapping(meta.get("labels")), **labels},
        "annotations": {**mapping(meta.get("annotations")), EPOCH_ANNOTATION: str(epoch)},
    }


def _owners(obj: Obj) -> list[Obj]:
    owners = mapping(obj.get("metadata")).get("ownerReferences")
    return [owner for owner in owners if isinstance(owner, dict)] if isinstance(owners, list) else []


def owned_by(obj: Obj, uid: str) -> bool:
    """Whether an object names this very Service as its owner."""
    return bool(uid) and any(owner.get("uid") == uid for owner in _owners(obj))
