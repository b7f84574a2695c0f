"""The lab's few requests to Kubernetes, and what the set-up program applies, on a real API server."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from netctl.lab.names import setup
from netctl.lab.names.apply import Api, ApiError
from netctl.lab.names.layout import Layout
from netctl.lab.names.secrets import prepare, write_secret
from netctl.lab.plan import LabPlan
from netctl.lab.topology import load_topology
from tests.real.etcd import free_ports
from tests.real.kube import RealKube, shared_kube


@pytest.fixture(scope="module")
def kube() -> RealKube:
    return shared_kube()


@pytest.fixture
def api(kube: RealKube) -> Api:
    return Api(kube.url, kube.ca_file, kube.admin_token)


class Here(Layout):
    """The lab's layout, but cloud a's API server is the one of this run."""

    kube_url = ""

    def api_url(self, cloud: str) -> str:
        return self.kube_url


def test_the_set_up_leaves_kubeconfigs_that_work_and_may_run_again(kube: RealKube, tmp_path: Path) -> None:
    topology = load_topology()
    prepare(topology, tmp_path)
    lay = Here(topology, tmp_path)
    lay.kube_url = kube.url
    lay.ca.write_bytes(kube.ca_file.read_bytes())
    write_secret(lay.tokens("a"), f"{kube.admin_token},admin,admin,system:masters\n")
    for _ in range(2):
        setup.set_up(lay, "a")
        for who, allowed in (("controller", "/api/v1/namespaces/vm/services"), ("coredns", "/api/v1/services")):
            token = lay.kubeconfig("a", who).read_text().partition("token: ")[2].partition("}")[0]
            assert Api(kube.url, lay.ca, token)._ask("GET", allowed)[0] == 200
    path = "/apis/discovery.k8s.io/v1/namespaces/apps/endpointslices/page-pods"
    pods = {e["targetRef"]["name"]: e["addresses"] for e in kube.request("GET", path)["endpoints"]}
    assert pods == {"a-pod1": ["10.1.7.10"], "a-pod2": ["10.1.8.10"]}


def test_without_a_plan_the_set_up_program_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main([str(tmp_path), "a"]) == 3
    assert capsys.readouterr().out == f"{tmp_path}/plan.json cannot be read\n"


def test_a_set_up_that_fails_is_one_line_and_is_tried_again_by_who_runs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here because nothing has prepared its token."""
    LabPlan("x", str(tmp_path), load_topology(), ()).write()
    assert setup.main([str(tmp_path), "a"]) == 1
    assert capsys.readouterr().out.startswith("cluster a could not be set up: ")


def test_what_somebody_changed_is_put_right_by_applying_again(kube: RealKube, api: Api) -> None:
    name = kube.namespace()
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"x": "1"}}}
    api.apply(document)
    path = f"/api/v1/namespaces/{name}"
    found = kube.request("GET", path)
    found["metadata"]["labels"]["x"] = "2"
    kube.request("PUT", path, found)
    api.apply(document)
    assert kube.request("GET", path)["metadata"]["labels"]["x"] == "1"


def test_a_refusal_says_what_was_refused_and_why(api: Api) -> None:
    document = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "nowhere"}}
    with pytest.raises(ApiError, match=r"Service x: HTTP 404: namespaces \"nowhere\" not found"):
        api.apply(document)
    with pytest.raises(ApiError, match="a token for nobody: HTTP 404"):
        api.account_token("default", "nobody", 3600)


def test_an_api_server_is_ready_or_says_why_not(kube: RealKube, api: Api) -> None:
    assert api.not_ready() is None
    (port,) = free_ports(1)
    assert Api(f"https://127.0.0.1:{port}", kube.ca_file, "x").not_ready() == "Connection refused"
    assert (Api(kube.url, kube.ca_file, "wrong").not_ready() or "").startswith("HTTP 401")


def test_the_manifests_are_complete_and_need_nothing_that_comes_later() -> None:
    kinds = [document["kind"] for document in setup.manifests()]
    assert kinds[0] == "Namespace"
    assert sorted(kinds) == sorted(
        ["Namespace", *["ServiceAccount"] * 2, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
    )
    assert json.dumps(list(setup.manifests()))


def test_no_manifest_names_another_namespace_than_the_lab_uses(kube: RealKube, api: Api) -> None:
    for document in setup.manifests():
        api.apply(document)
    with pytest.raises(urllib.error.HTTPError):
        kube.request("GET", "/api/v1/namespaces/default/serviceaccounts/netctl-controller")
    assert kube.request("GET", "/api/v1/namespaces/vm/serviceaccounts/netctl-controller")
