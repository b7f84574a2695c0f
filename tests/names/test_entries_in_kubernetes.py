"""What ``read_entry`` takes a real Kubernetes API takes too: one bad endpoint would cost its whole slice."""

from __future__ import annotations

import json
import urllib.error
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netctl.model.naming import Instance, Skipped
from netctl.names.entries import read_entry
from tests.real.kube import RealKube, shared_kube

_LABELS = st.from_regex(r"\A[a-z0-9-]{1,8}\Z") | st.from_regex(r"\A[a-z][a-z0-9-]{55,63}\Z")
_PORT_NAMES = st.from_regex(r"\A[a-z0-9-]{1,6}\Z") | st.from_regex(r"\A[a-z0-9]{13,17}\Z")
_PORTS = st.dictionaries(_PORT_NAMES, st.sampled_from([0, 1, 80, 65535, 65536]), min_size=1, max_size=3)
_ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(
    [
        "10.1.0.5",
        "100.64.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "2001:DB8::5",
        "fd00::1",
        "fec0::1",
        "64:ff9b::a01:5",
        "2002::1",
    ]
)


@cache
def namespace() -> tuple[RealKube, str]:
    kube = shared_kube()
    return kube, kube.namespace()


@pytest.fixture(scope="module", autouse=True)
def _started() -> None:
    """Before the first example, so that no example bears the blame for a cluster that does not start."""
    namespace()


def dry_run(plural: str, api: str, body: dict[str, Any]) -> str:
    """ "" when it would be created, else what the API says."""
    kube, name = namespace()
    try:
        kube.request("POST", f"{api}/namespaces/{name}/{plural}?dryRun=All", body)
    except urllib.error.HTTPError as error:
        return f"{error.code}: {json.load(error)['message']}"
    return ""


def slice_of(one: Instance) -> dict[str, Any]:
    endpoint = {"addresses": [one.address], "conditions": {"ready": one.healthy}, "zone": one.cloud}
    if one.hostname:
        endpoint["hostname"] = one.hostname
    return {
        "metadata": {"name": f"{one.service}-netctl-0", "labels": {"kubernetes.io/service-name": one.service}},
        "addressType": "IPv6" if ":" in one.address else "IPv4",
        "ports": [{"name": name, "port": number} for name, number in one.ports],
        "endpoints": [{**endpoint, "targetRef": {"kind": "Instance", "name": one.name}}],
    }


def refused(one: Instance) -> str:
    service = {
        "metadata": {"name": one.service},
        # The service's own numbers are not the instance's: two names may well share one there.
        "spec": {"clusterIP": "None", "ports": [{"name": n, "port": 1 + i} for i, (n, _) in enumerate(one.ports)]},
    }
    said = dry_run("services", "/api/v1", service)
    return said or dry_run("endpointslices", "/apis/discovery.k8s.io/v1", slice_of(one))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(_LABELS, _LABELS, _ADDRESSES, _PORTS, st.none() | _LABELS)
def test_every_instance_that_is_taken_can_be_written(
    service: str, name: str, address: str, ports: dict[str, int], hostname: str | None
) -> None:
    value = json.dumps({"address": address, "ports": ports, "cloud": "a", "hostname": hostname}).encode()
    one = read_entry("vms", f"{service}/{name}", value, None, ("a", "b"))
    assume(isinstance(one, Instance))
    assert isinstance(one, Instance)  # for mypy
    assert refused(one) == ""


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.0.1", "224.0.0.1", "0.0.0.0", "010.1.1.1", "10.1.1.1 ", "::1", "fe80::1", "ff02::1"],
)
def test_what_kubernetes_refuses_is_skipped_before_it_is_written(address: str) -> None:
    good = read_entry("vms", "orders/vm5", b'{"address":"10.1.0.5","ports":{"http":80},"cloud":"a"}', None, ("a",))
    assert isinstance(good, Instance)
    body = slice_of(good)
    body["addressType"] = "IPv6" if ":" in address else "IPv4"
    body["endpoints"].append({"addresses": [address]})
    assert "422" in dry_run("endpointslices", "/apis/discovery.k8s.io/v1", body)
    value = json.dumps({"address": address, "ports": {"http": 80}}).encode()
    assert isinstance(read_entry("vms", "orders/vm5", value, "a", ("a",)), Skipped)
