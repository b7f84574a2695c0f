"""What ``deploy/kubernetes`` allows and does not, asked of a real API server with the accounts' own tokens."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from netctl.lab.names.apply import Api
from netctl.lab.names.setup import manifests
from tests.real.kube import RealKube, shared_kube

CORE = "/api/v1/namespaces/vm"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/vm/endpointslices"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/vm/leases"
LABELS = {"kubernetes.io/service-name": "rbac", "endpointslice.kubernetes.io/managed-by": "netctl"}
Rule = tuple[str, str, str, str]
"""(verb, group, resource, name)."""


class Account:
    """Requests as a ServiceAccount."""

    def __init__(self, kube: RealKube, name: str, namespace: str = "vm") -> None:
        self._url = kube.url
        self._tls = ssl.create_default_context(cafile=str(kube.ca_file))
        self._token = kube.account_token(namespace, name)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """HTTP status and the answer's JSON."""
        request = urllib.request.Request(self._url + path, method=method)
        request.add_header("Authorization", f"Bearer {self._token}")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request.add_header("Content-Type", kind)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30, context=self._tls) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def rules(self, namespace: str) -> set[Rule]:
        """Everything it may do to resources there, as the API server sees it."""
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        status, review = self.ask("POST", path, {"spec": {"namespace": namespace}})
        assert status == 201
        assert not review["status"]["incomplete"]
        return {
            (verb, group, resource, name)
            for rule in review["status"]["resourceRules"]
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for name in rule.get("resourceNames") or [""]
        }


@pytest.fixture(scope="module")
def kube() -> RealKube:
    """A cluster with what ``deploy/kubernetes`` ships."""
    kube = shared_kube()
    api = Api(kube.url, kube.ca_file, kube.admin_token)
    for document in manifests():
        api.apply(document)
    return kube


@pytest.fixture(scope="module")
def anybody(kube: RealKube) -> set[Rule]:
    """What every account may do: ask about itself."""
    namespace = kube.namespace()
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    kube.request("POST", path, {"metadata": {"name": "nobody"}})
    return Account(kube, "nobody", namespace).rules(namespace)


def test_the_controller_may_do_what_it_needs(kube: RealKube) -> None:
    account = Account(kube, "netctl-controller")
    spec = {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}
    status, service = account.ask("POST", f"{CORE}/services", {"metadata": {"name": "rbac"}, "spec": spec})
    assert status == 201
    owner = {"apiVersion": "v1", "kind": "Service", "name": "rbac", "uid": service["metadata"]["uid"]}
    slice_ = {
        "metadata": {"name": "rbac-netctl-1", "labels": LABELS, "ownerReferences": [owner]},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.1.10"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80}],
    }
    status, made = account.ask("POST", SLICES, slice_)
    assert status == 201
    assert account.ask("PUT", f"{SLICES}/rbac-netctl-1", {**made, "endpoints": []})[0] == 200
    for path in (f"{CORE}/services", SLICES):
        assert account.ask("GET", path)[0] == 200
        with_watch = f"{path}?watch=true&timeoutSeconds=1&resourceVersion={service['metadata']['resourceVersion']}"
        assert _watched(account, with_watch)
    assert account.ask("DELETE", f"{SLICES}/rbac-netctl-1")[0] == 200
    assert account.ask("DELETE", f"{CORE}/services/rbac")[0] == 200
    for path, name in ((LEASES, "netctl-controller"), (f"{CORE}/configmaps", "netctl-guard")):
        status, _ = account.ask("POST", path, {"metadata": {"name": name}})
        assert status in (201, 409)
        status, found = account.ask("GET", f"{path}/{name}")
        assert status == 200
        assert account.ask("PUT", f"{path}/{name}", found)[0] == 200
    field = "fieldSelector=metadata.name%3Dnetctl-controller"
    assert account.ask("GET", f"{LEASES}?{field}")[0] == 200


def _watched(account: Account, path: str) -> bool:
    """Events come as one JSON object a line, so the whole is no JSON, or nothing came."""
    try:
        return account.ask("GET", path)[0] == 200
    except json.JSONDecodeError:
        return True


def test_the_controller_may_do_nothing_else(kube: RealKube, anybody: set[Rule]) -> None:
    account = Account(kube, "netctl-controller")
    everything = ("get", "list", "watch", "create", "update", "delete")
    allowed = {
        *((verb, "", "services", "") for verb in everything),
        *((verb, "discovery.k8s.io", "endpointslices", "") for verb in everything),
        ("create", "coordination.k8s.io", "leases", ""),
        *((verb, "coordination.k8s.io", "leases", "netctl-controller") for verb in ("get", "list", "watch", "update")),
        ("create", "", "configmaps", ""),
        *((verb, "", "configmaps", "netctl-guard") for verb in ("get", "update")),
    }
    assert account.rules("vm") - anybody == allowed
    assert account.rules("default") == anybody


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{CORE}/secrets"),
        ("GET", f"{CORE}/pods"),
        ("GET", f"{CORE}/configmaps"),
        ("GET", f"{CORE}/configmaps/kube-root-ca.crt"),
        ("GET", f"{LEASES}/somebody-else"),
        ("GET", "/api/v1/services"),
        ("GET", "/api/v1/namespaces/default/services"),
        ("GET", "/api/v1/nodes"),
        ("DELETE", SLICES),
        ("DELETE", f"{LEASES}/netctl-controller"),
        ("DELETE", "/api/v1/namespaces/vm"),
        ("POST", f"{CORE}/serviceaccounts/netctl-controller/token"),
    ],
)
def test_the_controller_is_refused(kube: RealKube, method: str, path: str) -> None:
    body: object = {"spec": {}} if method == "POST" else None
    assert Account(kube, "netctl-controller").ask(method, path, body)[0] == 403


def test_coredns_may_only_read_what_it_answers_from(kube: RealKube, anybody: set[Rule]) -> None:
    account = Account(kube, "netctl-coredns")
    allowed = {
        (verb, group, resource, "")
        for verb in ("list", "watch")
        for group, resource in (("", "services"), ("", "namespaces"), ("discovery.k8s.io", "endpointslices"))
    }
    assert account.rules("vm") - anybody == account.rules("default") - anybody == allowed
    for path in ("/api/v1/services", "/api/v1/namespaces", "/apis/discovery.k8s.io/v1/endpointslices"):
        assert account.ask("GET", path)[0] == 200
    assert account.ask("POST", f"{CORE}/services", {"metadata": {"name": "rbac"}})[0] == 403
