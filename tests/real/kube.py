"""A real etcd and kube-apiserver (and, if asked for, kube-controller-manager) on free loopback ports.

``shared_kube()`` is one for the whole run, started when first asked for; take a fresh namespace there. A test that
kills or restarts parts starts its own with ``RealKube``. Everything dies with the process that started it.
"""

from __future__ import annotations

import atexit
import base64
import datetime
import functools
import ipaddress
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from netctl.lab.names.setup import manifests
from netctl.lab.parts import find_part
from netctl.model.controller import ClusterSettings
from tests.real.etcd import free_ports

EVERYTHING: tuple[dict[str, Any], ...] = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)
"""Rules that allow all in a namespace."""
_numbers = count(1)


class Authority:
    """A certificate authority in a folder: ``ca.crt``, and certificates by name."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._builder(self._name, 3650).add_extension(x509.BasicConstraints(True, None), True)
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(_pem(certificate.sign(self._key, hashes.SHA256())))

    def issue(self, name: str, *, organization: str = "", days: float = 30) -> tuple[Path, Path]:
        """Certificate and key for 127.0.0.1 and localhost, or for a user; ``days`` below 0: expired."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organization:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = self._builder(x509.Name(attributes), days, key.public_key()).add_extension(names, False)
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        return files

    def _builder(
        self, subject: x509.Name, days: float, public_key: ec.EllipticCurvePublicKey | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key or self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=400))
            .not_valid_after(now + datetime.timedelta(days=days))
        )


class RealKube:
    """One control plane. ``start`` returns when it is ready."""

    def __init__(self, folder: Path, *, controller_manager: bool = False) -> None:
        self.folder = folder
        self.authority = Authority(folder / "pki")
        self.ca_file = self.authority.ca_file
        self.port, self._etcd_port, self._etcd_peer_port, self._manager_port = free_ports(4)
        self.url = f"https://127.0.0.1:{self.port}"
        self.admin_token = base64.b16encode(os.urandom(16)).decode()
        self._with_manager = controller_manager
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.server_files = self.authority.issue("kube-apiserver")
        _, self._service_account_key = self.authority.issue("service-accounts")
        self._tokens = folder / "tokens.csv"
        self._tokens.write_text(f'{self.admin_token},admin,admin,"system:masters"\n')

    # --- parts ---

    def start(self) -> None:
        self.start_etcd()
        self.start_apiserver()
        if self._with_manager:
            self.launch("kube-controller-manager")

    def start_etcd(self) -> None:
        self.launch("etcd")
        self.wait_for("etcd")

    def start_apiserver(self) -> None:
        self.launch("kube-apiserver")
        self.wait_for("kube-apiserver")

    def launch(self, part: str) -> None:
        """Start a part, which is killed when the thread that started it ends."""
        all_arguments = (self._etcd, self._apiserver, self._controller_manager)
        arguments = all_arguments[("etcd", "kube-apiserver", "kube-controller-manager").index(part)]()
        with (self.folder / f"{part}.log").open("ab") as log:
            self._running[part] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", str(find_part(part)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, part: str, within_s: float = 60.0) -> None:
        """Until etcd or kube-apiserver is ready."""
        url = f"http://127.0.0.1:{self._etcd_port}/health" if part == "etcd" else f"{self.url}/readyz"
        deadline_s = time.monotonic() + within_s
        while _get(url, self.ca_file, self.admin_token) != 200:
            log = (self.folder / f"{part}.log").read_text(errors="replace")[-2000:]
            assert self._running[part].poll() is None, f"{part} ended:\n{log}"
            assert time.monotonic() < deadline_s, f"{part} is not ready after {within_s:.0f} s:\n{log}"
            time.sleep(0.05)

    def _etcd(self) -> tuple[str, ...]:
        url, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._etcd_peer_port}"
        return (
            *("--data-dir", str(self.folder / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--unsafe-no-fsync"),
        )

    def _apiserver(self) -> tuple[str, ...]:
        certificate, key = self.server_files
        account_key = str(self._service_account_key)
        return (
            *("--etcd-servers", f"http://127.0.0.1:{self._etcd_port}"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self.port)),
            *("--tls-cert-file", str(certificate), "--tls-private-key-file", str(key)),
            *("--client-ca-file", str(self.ca_file), "--cert-dir", str(self.folder)),
            *("--service-account-key-file", account_key, "--service-account-signing-key-file", account_key),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--authorization-mode", "RBAC"),
            *("--token-auth-file", str(self._tokens), "--service-cluster-ip-range", "10.96.0.0/16"),
            *("--disable-admission-plugins", "ServiceAccount"),
        )

    def _controller_manager(self) -> tuple[str, ...]:
        return (
            *("--kubeconfig", str(self.kubeconfig(self.folder / "controller-manager.kubeconfig"))),
            *("--leader-elect=false", "--use-service-account-credentials=false"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self._manager_port)),
            "--controllers=garbage-collector-controller,namespace-controller",
        )

    def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Signal one part and, if that ends it, wait for its end."""
        process = self._running[part]
        process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            process.wait(30)
            del self._running[part]

    def stop(self) -> None:
        for part in ("kube-controller-manager", "kube-apiserver", "etcd"):
            if part in self._running:
                self.kill(part)

    # --- what tests need in it ---

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request as administrator; raises urllib.error.HTTPError."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"Bearer {self.admin_token}")
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode() if body is not None else None
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, data, timeout=30, context=context) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def namespace(self) -> str:
        """A namespace that nobody else has."""
        name = f"t{next(_numbers)}-{os.getpid()}"
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def service_account(
        self, namespace: str, name: str = "netctl", rules: Sequence[dict[str, Any]] = (), hours: float = 1
    ) -> str:
        """A ServiceAccount that may do what the rules say in its namespace, by default what ``deploy/kubernetes`` lets
        a controller do; its token."""
        self.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.request("POST", f"{rbac}/roles", {"metadata": {"name": name}, "rules": list(rules or _shipped_rules())})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
        self.request("POST", f"{rbac}/rolebindings", binding)
        return self.account_token(namespace, name, hours)

    def account_token(self, namespace: str, name: str = "netctl", hours: float = 1) -> str:
        """Another token of a ServiceAccount (ten minutes at least)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.request("POST", path, {"spec": {"expirationSeconds": int(hours * 3600)}})
        return str(answer["status"]["token"])

    def kubeconfig(self, path: Path, token: str | None = None, **cluster: str) -> Path:
        """A kubeconfig file (JSON is YAML), by default the administrator's."""
        return self.kubeconfig_for(path, {"token": token or self.admin_token}, **cluster)

    def kubeconfig_for(self, path: Path, user: dict[str, Any], **cluster: str) -> Path:
        """One for any kind of user; ``cluster`` overrides its server and certificate-authority (``_`` for ``-``)."""
        target = {"server": self.url, "certificate-authority": str(self.ca_file)}
        target.update({name.replace("_", "-"): value for name, value in cluster.items()})
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": target}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(content, indent=1))
        path.chmod(0o600)
        return path

    def cluster(self, path: Path, namespace: str, token: str | None = None, name: str = "a") -> ClusterSettings:
        """The settings of a controller for this cluster, with a kubeconfig at ``path``."""
        return ClusterSettings(name, name, str(self.kubeconfig(path, token)), namespace)


@functools.cache
def shared_kube() -> RealKube:
    """The one of this run, with kube-controller-manager."""
    folder = Path(tempfile.mkdtemp(prefix="netctl-test-kube-"))
    kube = RealKube(folder, controller_manager=True)
    starter = os.getpid()

    def end() -> None:
        if os.getpid() == starter:
            kube.stop()
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    kube.start()
    return kube


def _shipped_rules() -> list[dict[str, Any]]:
    [role] = [document for document in manifests() if document["kind"] == "Role"]
    rules: list[dict[str, Any]] = role["rules"]
    return rules


def _get(url: str, ca_file: Path, token: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=str(ca_file)) if url.startswith("https:") else None
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
