"""What is said when a kubeconfig, a token or a certificate is of no use."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from netctl.model.kube import SERVICES, DeniedError, UnreachableError
from tests.kube.kubeconfigs import GIVE, LIST, plugin, told
from tests.kube.stub import status, stub
from tests.real.kube import Authority, RealKube, shared_kube


@pytest.fixture(scope="module")
def kube() -> RealKube:
    return shared_kube()


async def test_a_missing_or_unusable_kubeconfig_is_named(kube: RealKube, tmp_path: Path) -> None:
    path = tmp_path / "k"
    assert f"cannot use {path}: {path} does not exist" in str(await told(path))
    for content in ("", "just text", "[1, 2]", "a: [", "clusters: 3", "\x00"):
        path.write_text(content)
        error = await told(path)
        assert isinstance(error, UnreachableError)
        assert str(path) in str(error)
    path.unlink()
    path.mkdir()
    assert "Is a directory" in str(await told(path))
    kube.kubeconfig(tmp_path / "good")
    assert "nowhere" in str(await told(tmp_path / "good", context="nowhere"))


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"server": "127.0.0.1:6443"}, "no https:// URL"),
        ({"server": ""}, "no https:// URL"),
        ({"server": "http://10.0.0.1:80"}, "without TLS"),
        ({"insecure_skip_tls_verify": True}, "netctl always verifies"),
        ({"certificate_authority": "nothing.crt"}, "nothing.crt does not exist"),
        ({"certificate_authority": "k"}, "holds no certificate"),
        ({"server": "https://127.0.0.1:1"}, "https://127.0.0.1:1 refuses connections"),
        ({"server": "https://nowhere.invalid:1"}, "cannot connect to https://nowhere.invalid:1"),
    ],
)
async def test_a_cluster_section_of_no_use_is_explained(
    kube: RealKube, tmp_path: Path, cluster: dict[str, str], words: str
) -> None:
    path = kube.kubeconfig(tmp_path / "k", **cluster)
    error = await told(path)
    assert isinstance(error, UnreachableError)
    assert words in str(error)


async def test_a_wrong_authority_and_an_expired_certificate_are_told_apart(kube: RealKube, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other")
    path = kube.kubeconfig(tmp_path / "k", certificate_authority=str(other.ca_file))
    error = await told(path)
    assert isinstance(error, UnreachableError)
    reason = "unable to get local issuer certificate"
    assert f"is not to be trusted ({reason}): see certificate-authority in {path}" in str(error)

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(LIST)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*other.issue("old-server", days=-1))
    async with stub(tmp_path, answer, context) as server:
        config = server.write_kubeconfig({"token": "t"}, **{"certificate-authority": str(other.ca_file)})
        assert f"the certificate of {server.url} has expired" in str(await told(config))
        assert server.requests == []


async def test_an_expired_client_certificate_is_denied_with_what_to_do(kube: RealKube, tmp_path: Path) -> None:
    certificate, key = kube.authority.issue("late-user", organization="system:masters", days=-1)
    path = kube.kubeconfig_for(tmp_path / "k", {"client-certificate": str(certificate), "client-key": str(key)})
    error = await told(path)
    assert isinstance(error, DeniedError)
    assert f"token or client certificate is expired or not of this cluster: renew it in {path}" in str(error)


async def test_an_expired_token_is_denied_with_its_end(kube: RealKube, tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1_700_000_000}).encode()).rstrip(b"=").decode()
    path = kube.kubeconfig(tmp_path / "k", f"eyJhbGciOiJub25lIn0.{claims}.c2ln")
    error = await told(path)
    assert isinstance(error, DeniedError)
    assert f"the token in {path} expired at 2023-11-14 22:13:20 UTC" in str(error)
    assert claims not in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('sys.stderr.write("log in first"); sys.exit(1)', "log in first"),
        ('print("secret-token")', "failed to decode"),
        (GIVE % "{}", "neither a token nor a certificate"),
    ],
)
async def test_an_exec_plugin_that_fails_is_told_with_its_words(
    kube: RealKube, tmp_path: Path, body: str, words: str
) -> None:
    path = kube.kubeconfig_for(tmp_path / "k", plugin(tmp_path, body))
    error = await told(path)
    assert isinstance(error, DeniedError)
    assert words in str(error)
    assert "secret-token" not in str(error)
    missing = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/plugin"}}
    assert "/no/such/plugin does not exist" in str(await told(kube.kubeconfig_for(path, missing)))


async def test_a_token_is_in_no_message_and_no_representation(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return status(403, "forbidden")

    async with stub(tmp_path, answer) as server:
        api = server.open({"token": "very-secret"})
        with pytest.raises(DeniedError) as caught:
            await api.list(SERVICES, "vm")
        access = await api._transport.credentials.access()
        assert server.requests[0][2] == "Bearer very-secret"
        assert "secret" not in str(caught.value) + repr(caught.value) + repr(access)
        await api.close()
