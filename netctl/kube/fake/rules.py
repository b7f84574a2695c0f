"""What the API server fills in, and what it refuses, kind by kind (kube-apiserver 1.36, as the contract tests see it).

Only fields that netctl writes are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from netctl.model.kube import Obj

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_MAX_ENDPOINTS = 1000
_LINK_LOCAL_MULTICAST = IPv4Network("224.0.0.0/24")


def fill_in(plural: str, obj: Obj, old: Obj | None, free_ip: str) -> None:
    """Set defaults in place and drop what is empty; on a replace, take over what is kept when left out.

    ``free_ip``: the next cluster IP.
    """
    if plural == "services":
        _fill_in_service(obj, old, free_ip)
    elif plural == "endpointslices":
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")
        for endpoint in obj.get("endpoints") or ():
            endpoint.setdefault("conditions", {})
        for name in ("endpoints", "ports"):
            obj[name] = obj.get(name) or None
    meta = obj["metadata"]
    for name in ("labels", "annotations", "ownerReferences"):
        if name in meta and not meta[name]:
            del meta[name]


def _fill_in_service(obj: Obj, old: Obj | None, free_ip: str) -> None:
    spec = obj.setdefault("spec", {})
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if old is not None and not spec.get("clusterIP"):
        spec["clusterIP"] = old["spec"]["clusterIP"]
    spec.setdefault("clusterIP", free_ip)
    headless = spec["clusterIP"] == "None"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    kept = old["spec"] if old is not None else {}
    both = headless and not spec.get("selector")
    spec.setdefault("ipFamilies", kept.get("ipFamilies", ["IPv4", "IPv6"] if both else ["IPv4"]))
    spec.setdefault("ipFamilyPolicy", kept.get("ipFamilyPolicy", "RequireDualStack" if both else "SingleStack"))
    spec.setdefault("internalTrafficPolicy", "Cluster")
    obj.setdefault("status", {"loadBalancer": {}})


def complaints(plural: str, obj: Obj, old: Obj | None) -> Iterator[str]:
    """Why the API server answers 422."""
    meta = obj["metadata"]
    name = str(meta.get("name", ""))
    if not (_LABEL if plural in ("services", "namespaces") else _SUBDOMAIN).fullmatch(name):
        yield f'metadata.name: Invalid value: "{name}": must consist of lower case alphanumeric characters or "-"'
    for value in (meta.get("labels") or {}).values():
        if not _LABEL_VALUE.fullmatch(value):
            yield f'metadata.labels: Invalid value: "{value}": a valid label must consist of alphanumeric characters'
    for owner in meta.get("ownerReferences") or ():
        if not all(owner.get(part) for part in ("apiVersion", "kind", "name", "uid")):
            yield "metadata.ownerReferences: apiVersion, kind, name and uid must not be empty"
    check = {"services": _service, "endpointslices": _slice, "leases": _lease}.get(plural)
    if check is not None:
        yield from check(obj, old)


def _service(obj: Obj, old: Obj | None) -> Iterator[str]:
    spec = obj["spec"]
    if old is not None and old["spec"]["clusterIP"] != spec["clusterIP"]:
        yield f'spec.clusterIPs[0]: Invalid value: ["{spec["clusterIP"]}"]: may not change once set'
    ports = spec.get("ports") or []
    if not ports and spec["clusterIP"] != "None":
        yield "spec.ports: Required value"
    yield from _ports("spec.ports", ports)
    sockets = [(port.get("protocol"), port.get("port")) for port in ports]
    if len(set(sockets)) < len(sockets):
        yield "spec.ports: Duplicate value: two ports of one number"
    if len(ports) > 1 and not all(port.get("name") for port in ports):
        yield "spec.ports[0].name: Required value"


def _slice(obj: Obj, old: Obj | None) -> Iterator[str]:
    if old is not None and old["addressType"] != obj.get("addressType"):
        yield f'addressType: Invalid value: "{obj.get("addressType")}": field is immutable'
    if obj.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
        yield f'addressType: Unsupported value: "{obj.get("addressType")}": supported values: "FQDN", "IPv4", "IPv6"'
    endpoints = obj.get("endpoints") or []
    if len(endpoints) > _MAX_ENDPOINTS:
        yield f"endpoints: Too many: {len(endpoints)}: must have at most {_MAX_ENDPOINTS} items"
    yield from _ports("ports", obj.get("ports") or [])
    for index, endpoint in enumerate(endpoints):
        where = f"endpoints[{index}]"
        addresses = endpoint.get("addresses") or []
        if not addresses:
            yield f"{where}.addresses: Required value: must contain at least 1 address"
        for number, address in enumerate(addresses):
            reason = _bad_ipv4(address) if obj.get("addressType") == "IPv4" else ""
            if reason:
                yield f'{where}.addresses[{number}]: Invalid value: "{address}": {reason}'
        hostname = endpoint.get("hostname")
        if hostname is not None and not _LABEL.fullmatch(hostname):
            yield f'{where}.hostname: Invalid value: "{hostname}": must be a DNS label'


def _ports(where: str, ports: list[dict[str, Any]]) -> Iterator[str]:
    seen = set()
    for index, port in enumerate(ports):
        name, number = port.get("name", ""), port.get("port")
        if name and not _LABEL.fullmatch(name):
            yield f'{where}[{index}].name: Invalid value: "{name}": must be a lowercase RFC 1123 label'
        if name in seen:
            yield f'{where}[{index}].name: Duplicate value: "{name}"'
        seen.add(name)
        if port["protocol"] not in ("TCP", "UDP", "SCTP"):
            yield f'{where}[{index}].protocol: Unsupported value: "{port["protocol"]}"'
        if where == "spec.ports" and not 1 <= (number or 0) <= 65535:  # a slice may hold any number
            yield f"{where}[{index}].port: Invalid value: {number}: must be between 1 and 65535, inclusive"


def _lease(obj: Obj, old: Obj | None) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        yield f"spec.leaseDurationSeconds: Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0"
    if spec.get("leaseTransitions") is not None and spec["leaseTransitions"] < 0:
        yield f"spec.leaseTransitions: Invalid value: {spec['leaseTransitions']}: must be greater than or equal to 0"


def _bad_ipv4(text: str) -> str:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    if address.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if address.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if address.is_multicast and address in _LINK_LOCAL_MULTICAST:
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return "may not be unspecified (0.0.0.0)" if address.is_unspecified else ""


def matches(selector: str, labels: dict[str, str]) -> bool:
    """Equality-based label selectors: ``a=b``, ``a!=b``, ``a``, ``!a``, joined by commas."""
    return all(_matches_one(term.strip(), labels) for term in selector.split(",") if term.strip())


def _matches_one(term: str, labels: dict[str, str]) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return labels.get(key) != value
    if "=" in term:
        key, _, value = term.partition("=")
        return labels.get(key) == value.removeprefix("=")
    return term[1:] not in labels if term.startswith("!") else term in labels
