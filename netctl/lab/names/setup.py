"""``python -m netctl.lab.names.setup STATE CLOUD``: sets a cloud's cluster up, once, then ends with 0.

Waits for the API server, applies what ``deploy/kubernetes`` ships and the Service of the cloud's pods, then asks for
the tokens of the two ServiceAccounts and writes their kubeconfigs: who waits for those starts now. May be run again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netctl.kits import kit
from netctl.lab.names.apply import Api, ApiError
from netctl.lab.names.files import kubeconfig
from netctl.lab.names.layout import APPS_NAMESPACE, NAMESPACE, Layout
from netctl.lab.names.secrets import write_secret
from netctl.lab.plan import read_plan

Obj = dict[str, Any]

ACCOUNTS = {"controller": "netctl-controller", "coredns": "netctl-coredns"}
"""Kubeconfig → ServiceAccount."""
PODS_SERVICE = "page"
_TOKEN_S = 365 * 24 * 3600
_LOOK_S = 0.2
_SAY_S = 5.0


def manifests() -> Iterator[Obj]:
    """Everything in ``deploy/kubernetes``, namespaces first."""
    from ruamel.yaml import YAML

    found: list[Obj] = []
    for path in sorted((kit("deploy") / "kubernetes").glob("*.yaml")):
        found += [document for document in YAML(typ="safe", pure=True).load_all(path.read_text("utf-8")) if document]
    yield from sorted(found, key=lambda document: document["kind"] != "Namespace")


def pods_service(pods: dict[str, str], zone: str) -> Iterator[Obj]:
    """What a cluster with real pods would have by itself: the Service of the pods (name → address) and its slice."""
    labels = {"kubernetes.io/service-name": PODS_SERVICE, "endpointslice.kubernetes.io/managed-by": "netctl-lab"}
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": APPS_NAMESPACE}}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": PODS_SERVICE, "namespace": APPS_NAMESPACE},
        "spec": {"clusterIP": "None", "ports": [port]},
    }
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{PODS_SERVICE}-pods", "namespace": APPS_NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True},
                "zone": zone,
                "targetRef": {"kind": "Pod", "namespace": APPS_NAMESPACE, "name": name},
            }
            for name, address in pods.items()
        ],
    }


def set_up(lay: Layout, cloud: str) -> None:
    """Everything, in order. Raises ApiError when the API server refuses something."""
    token = lay.tokens(cloud).read_text(encoding="ascii").partition(",")[0]
    api = Api(lay.api_url(cloud), lay.ca, token)
    _wait_ready(api, lay.api_url(cloud))
    pods = {pod.name: lay.ip(pod) for pod in lay.of(cloud, "pod")}
    for document in [*manifests(), *pods_service(pods, cloud)]:
        api.apply(document)
        print(f"applied {document['kind']} {document['metadata']['name']}", flush=True)
    ca = lay.ca.read_bytes()
    for who, account in ACCOUNTS.items():
        token = api.account_token(NAMESPACE, account, _TOKEN_S)
        write_secret(lay.kubeconfig(cloud, who), kubeconfig(cloud, lay.api_url(cloud), ca, account, token))
        print(f"wrote the kubeconfig of {account}", flush=True)


def _wait_ready(api: Api, url: str) -> None:
    """As long as it takes: on a machine that is busy an API server starts slowly."""
    said = time.monotonic()
    while (reason := api.not_ready()) is not None:
        if time.monotonic() - said > _SAY_S:
            said = time.monotonic()
            print(f"waiting for {url}: {reason}", flush=True)
        time.sleep(_LOOK_S)


def main(argv: list[str]) -> int:
    state_dir, cloud = Path(argv[0]), argv[1]
    plan = read_plan(state_dir)
    if plan is None:
        print(f"{state_dir}/plan.json cannot be read", flush=True)
        return 3
    try:
        set_up(Layout(plan.topology, state_dir), cloud)
    except (ApiError, OSError) as error:  # whoever keeps us running tries again
        print(f"cluster {cloud} could not be set up: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
