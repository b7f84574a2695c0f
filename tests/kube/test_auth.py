"""Kubeconfig files, tokens and certificates: what works, and what is said when it does not."""

from __future__ import annotations

import asyncio
import base64
import datetime
from pathlib import Path

import pytest
from aiohttp import web

from netctl.kube.io import open_kube
from netctl.model.controller import ClusterSettings
from netctl.model.kube import SERVICES, DeniedError, UnreachableError
from tests.kube.kubeconfigs import GIVE, LIST, plugin, told, works
from tests.kube.stub import status, stub
from tests.real.kube import Authority, RealKube, shared_kube


@pytest.fixture(scope="module")
def kube() -> RealKube:
    return shared_kube()


# --- what works ---


async def test_a_service_account_s_token_works_in_its_namespace_only(kube: RealKube, tmp_path: Path) -> None:
    ours, other = kube.namespace(), kube.namespace()
    path = kube.kubeconfig(tmp_path / "k", kube.service_account(ours))
    await works(path, ours)
    error = await told(path, other)
    assert isinstance(error, DeniedError)
    assert f'in the namespace "{other}"' in str(error)
    assert f"give the user of {path} that right in namespace {other}" in str(error)


async def test_a_client_certificate_works_from_files_and_from_data(kube: RealKube, tmp_path: Path) -> None:
    certificate, key = kube.authority.issue("root-user", organization="system:masters")
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    await works(kube.kubeconfig_for(tmp_path / "files", user))
    user = {
        "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(key.read_bytes()).decode(),
    }
    await works(kube.kubeconfig_for(tmp_path / "data", user))


async def test_files_are_found_beside_the_kubeconfig(kube: RealKube, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(kube.ca_file.read_bytes())
    (tmp_path / "token").write_text(kube.admin_token + "\n")
    path = kube.kubeconfig_for(tmp_path / "k", {"tokenFile": "token"}, certificate_authority="ca.crt")
    await works(path)


async def test_an_exec_plugin_s_token_and_certificate_work(kube: RealKube, tmp_path: Path) -> None:
    await works(kube.kubeconfig_for(tmp_path / "k", plugin(tmp_path, GIVE % {"token": kube.admin_token})))
    certificate, key = kube.authority.issue("other-user", organization="system:masters")
    given = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
    await works(kube.kubeconfig_for(tmp_path / "k", plugin(tmp_path, GIVE % given)))


async def test_no_key_is_left_in_a_temporary_file(
    kube: RealKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    certificate, key = kube.authority.issue("third-user", organization="system:masters")
    user = {
        "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
        "client-key-data": base64.b64encode(key.read_bytes()).decode(),
    }
    await works(kube.kubeconfig_for(tmp_path / "k", user))
    assert [*temporary.iterdir()] == []


# --- credentials that change ---


async def only_new(request: web.Request) -> web.StreamResponse:
    if request.headers["Authorization"] != "Bearer new":
        return status(401)
    return web.json_response({"metadata": {"name": "x", "resourceVersion": "2"}})


async def test_a_token_that_is_refused_is_read_again_at_once_and_a_write_is_then_made(tmp_path: Path) -> None:
    async with stub(tmp_path, only_new) as server:
        token = tmp_path / "token"
        token.write_text("old")
        api = server.open({"tokenFile": "token"})
        with pytest.raises(DeniedError, match="not accepted"):
            await api.get(SERVICES, "vm", "x")
        assert len(server.requests) == 1, "it was read just now"
        token.write_text("new")
        assert await api.create(SERVICES, "vm", {"metadata": {"name": "x"}})
        assert [request[2] for request in server.requests[1:]] == ["Bearer old", "Bearer new"]
        await api.close()


async def test_many_requests_refused_at_once_all_get_the_new_token_and_the_plugin_runs_once(tmp_path: Path) -> None:
    async with stub(tmp_path, only_new) as server:
        runs = tmp_path / "runs"
        again = f'p = pathlib.Path("{runs}"); n = p.read_text() + "x" if p.exists() else "x"; p.write_text(n)\n'
        token = 'token = {"token": "old" if n == "x" else "new"}\n'
        api = server.open(plugin(tmp_path, again + token + GIVE.replace("%s", "token")))
        await api._transport.credentials.access()
        api._transport.credentials._read_s -= 3.0
        await asyncio.gather(*(api.get(SERVICES, "vm", "x") for _ in range(20)))
        assert runs.read_text() == "xx"
        await api.close()


async def test_an_exec_plugin_is_run_again_shortly_before_its_token_ends_and_not_before(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(LIST)

    runs = tmp_path / "runs"
    count = f'runs = pathlib.Path("{runs}"); runs.write_text(runs.read_text() + "x" if runs.exists() else "x")\n'
    for seconds, wanted in ((3600, "x"), (30, "xx")):
        runs.unlink(missing_ok=True)
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        given = {"token": "t", "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
        async with stub(tmp_path, answer) as server:
            api = server.open(plugin(tmp_path, count + GIVE % given))
            await api.list(SERVICES, "vm")
            api._transport.credentials._looked_s -= 2.0  # what is known is looked at each second
            await api.list(SERVICES, "vm")
            await api.close()
        assert runs.read_text() == wanted


async def test_a_kubeconfig_that_was_mended_is_used_without_a_restart(kube: RealKube, tmp_path: Path) -> None:
    path = tmp_path / "k"
    api = open_kube(ClusterSettings("a", "a", str(path), "default"))
    with pytest.raises(UnreachableError, match="does not exist"):
        await api.list(SERVICES, "default")
    other = Authority(tmp_path / "other")
    kube.kubeconfig(path, certificate_authority=str(other.ca_file))
    with pytest.raises(UnreachableError, match="not to be trusted"):
        await api.list(SERVICES, "default")
    other.ca_file.write_bytes(kube.ca_file.read_bytes())
    await api.list(SERVICES, "default")
    await api.close()


async def test_a_kubeconfig_that_breaks_later_leaves_the_client_with_what_it_read(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(LIST)

    async with stub(tmp_path, answer) as server:
        api = server.open()
        await api.list(SERVICES, "vm")
        (tmp_path / "kubeconfig").write_text("half of a f")
        api._transport.credentials._looked_s -= 2.0
        await api.list(SERVICES, "vm")
        (tmp_path / "kubeconfig").unlink()
        api._transport.credentials._looked_s -= 2.0
        await api.list(SERVICES, "vm")
        server.write_kubeconfig({"token": "other"})
        api._transport.credentials._looked_s -= 2.0
        await api.list(SERVICES, "vm")
        assert [request[2] for request in server.requests] == ["Bearer secret"] * 3 + ["Bearer other"]
        await api.close()
