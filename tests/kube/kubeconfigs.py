"""Clients by kubeconfig: whether they work, and what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from netctl.kube.io import open_kube
from netctl.model.controller import ClusterSettings
from netctl.model.kube import SERVICES, KubeError
from tests.kube.stub import QUICK

LIST = {"metadata": {"resourceVersion": "1"}, "items": []}


async def told(path: Path, namespace: str = "default", context: str | None = None) -> KubeError:
    """The error that a list gives."""
    api = open_kube(ClusterSettings("a", "a", str(path), namespace, context), QUICK)
    try:
        with pytest.raises(KubeError) as caught:
            await api.list(SERVICES, namespace)
    finally:
        await api.close()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("cluster a: ")
    return caught.value


async def works(path: Path, namespace: str = "default") -> None:
    api = open_kube(ClusterSettings("a", "a", str(path), namespace))
    assert (await api.list(SERVICES, namespace)).resource_version
    await api.close()


def plugin(folder: Path, body: str) -> dict[str, object]:
    """An exec plugin in Python; what it prints is ``body``'s."""
    script = folder / "plugin.py"
    script.write_text(f"import json, sys, pathlib\n{body}\n")
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(script)],
        }
    }


GIVE = 'print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": %s}))'
