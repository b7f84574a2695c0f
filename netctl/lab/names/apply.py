"""The few requests with which the lab sets a Kubernetes cluster up. Standard library only, one connection each."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Obj = dict[str, Any]

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Service": "/api/v1/namespaces/{ns}/services",
    "ServiceAccount": "/api/v1/namespaces/{ns}/serviceaccounts",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}
_TIMEOUT_S = 10.0


class ApiError(Exception):
    """The API server did not do it; ``str()`` says what and why."""


class Api:
    """An API server at ``url`` (``https://HOST:PORT``), verified by ``ca``."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self._where = urlsplit(url).netloc
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._token = token

    def not_ready(self) -> str | None:
        """Why it does not say that it is ready; None: it does."""
        try:
            status, body = self._ask("GET", "/readyz")
        except OSError as error:
            return error.strerror or str(error)
        except HTTPException as error:
            return str(error)
        return None if status == 200 else f"HTTP {status}: {_message(body)}"

    def apply(self, document: Obj) -> None:
        """Create it, or make it so (server-side apply). Raises ApiError, OSError."""
        metadata = document["metadata"]
        path = _PATHS[document["kind"]].format(ns=metadata.get("namespace", ""))
        path += f"/{metadata['name']}?fieldManager=netctl-lab&force=true"
        status, body = self._ask("PATCH", path, document, "application/apply-patch+yaml")
        if status not in (200, 201):
            raise ApiError(f"{document['kind']} {metadata['name']}: HTTP {status}: {_message(body)}")

    def account_token(self, namespace: str, account: str, seconds: int) -> str:
        """A token of a ServiceAccount (TokenRequest). Raises ApiError, OSError."""
        path = f"{_PATHS['ServiceAccount'].format(ns=namespace)}/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        status, body = self._ask("POST", path, request)
        if status != 201:
            raise ApiError(f"a token for {account}: HTTP {status}: {_message(body)}")
        return str(json.loads(body)["status"]["token"])

    def _ask(
        self, method: str, path: str, body: Obj | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        connection = HTTPSConnection(self._where, timeout=_TIMEOUT_S, context=self._tls)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind, "Accept": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _message(body: bytes) -> str:
    """The reason in a Status object, or the start of whatever came."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip()
