"""Keys, certificates and tokens of the naming half: made once, before its programs start."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from netctl.lab.names.files import kubeconfig
from netctl.lab.names.layout import Layout
from netctl.lab.names.plan import CONTROLLERS
from netctl.lab.pki import Pki
from netctl.lab.topology import Topology

_ADMINS = "system:masters"


def prepare(topology: Topology, state_dir: Path) -> None:
    """Make what is not there yet; what is there stays, because running programs have read it.

    Every file has mode 0600. Raises EnvironmentLackError when they cannot be written.
    """
    lay = Layout(topology, state_dir)
    pki = Pki(lay.pki)
    pki.ca()
    for cloud in lay.clouds:
        ip = lay.ip(lay.of(cloud, "kube")[0])
        _issue(pki, f"{cloud}-kube", ips=(ip, "127.0.0.1"), dns=("kubernetes", "kubernetes.default.svc"), role="kube")
        _issue(pki, f"{cloud}-checker", ips=(ip,), role="checker", cloud=cloud)
        # Its own key: a token of one cluster is nothing in another.
        Pki(lay.kube(cloud)).service_account()
        _admin(lay, cloud)
    for node in topology.with_role("mgmt"):
        for name in CONTROLLERS:
            _issue(pki, name, ips=(lay.ip(node),), role="controller")


def _issue(pki: Pki, name: str, ips: tuple[str, ...], role: str, dns: tuple[str, ...] = (), *, cloud: str = "") -> None:
    if not (pki.folder / f"{name}.crt").exists():  # written after its key
        pki.issue(name, ips, dns, role=role, cloud=cloud)


def _admin(lay: Layout, cloud: str) -> None:
    """The administrator's token, for the set-up program, the controller manager and people who look around."""
    if lay.tokens(cloud).exists():  # written last
        return
    token = secrets.token_urlsafe(32)
    text = kubeconfig(cloud, lay.api_url(cloud), lay.ca.read_bytes(), "admin", token)
    write_secret(lay.kubeconfig(cloud, "admin"), text)
    write_secret(lay.tokens(cloud), f"{token},admin,admin,{_ADMINS}\n")


def write_secret(path: Path, text: str) -> None:
    """All of it or nothing, readable by its owner alone."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
