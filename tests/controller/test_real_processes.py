"""Controllers as programs: started by the command line, killed, stopped, with bad files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netctl.config import load_controller
from netctl.controller.io import run_controller
from netctl.model.errors import EnvironmentLackError
from tests.controller.real_site import RealSite
from tests.controller.running import ask, until

READY = ("10.1.1.10", "10.1.2.10")


async def register(site: RealSite) -> None:
    for number, address in enumerate(READY, 1):
        await site.put("orders", f"a-vm{number}", address)
    await site.put("orders", "b-vm1", "10.2.1.10", "b")


def controller_file(site: RealSite, identity: str, **other: Any) -> Path:
    content = {
        "version": 1,
        "identity": identity,
        "runtime_dir": str(site.folder / identity),
        "sources": [{"name": "vms", "etcd": {"endpoints": [site.etcd.url], "prefix": "/vm/"}}],
        "clusters": [
            {"name": c.name, "cloud": c.cloud, "kubeconfig": c.kubeconfig, "namespace": c.namespace}
            for c in site.settings(identity).clusters
        ],
        "management": "a",
        **other,
    }
    path = site.folder / f"{identity}.yaml"
    path.write_text(json.dumps(content))
    return path


@contextmanager
def program(site: RealSite, identity: str, **other: Any) -> Iterator[subprocess.Popen[bytes]]:
    path = controller_file(site, identity, **other)
    argv = [sys.executable, "-m", "netctl.cli.main", "controller", "run", "--config", str(path)]
    with (site.folder / f"{identity}.log").open("ab") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def states(site: RealSite, identity: str) -> set[str]:
    """The states of its clusters; empty while it does not answer or is not steady."""
    try:
        status = await ask(site.folder / identity / "controller.sock", "status")
    except ConnectionError:
        return set()
    return {cluster["state"] for cluster in status["clusters"]} if status["steady"] else set()


async def come_to(site: RealSite, identity: str, wanted: str, within_s: float = 20.0) -> float:
    found: set[str] = set()

    async def look() -> bool:
        found.clear()
        found.update(await states(site, identity))
        return found == {wanted}

    return await until(look, within_s)


async def test_after_kill_9_the_other_controller_leads_within_five_seconds_and_nothing_is_lost(site: RealSite) -> None:
    await register(site)
    with program(site, "c1") as first:
        await come_to(site, "c1", "leading")
        with program(site, "c2"):
            await come_to(site, "c2", "standby")
            before = site.versions()
            first.send_signal(signal.SIGKILL)
            await site.put("orders", "a-vm3", "10.1.3.10")
            assert await site.ready("a", "orders", *READY, "10.1.3.10", within_s=10) < 5.0
            changed = [key for key, version in site.versions().items() if before.get(key) != version]
            assert changed == ["a/endpointslices/orders-netctl-1"]


async def test_killed_and_started_again_it_takes_its_own_lease_back_at_once_and_writes_nothing(site: RealSite) -> None:
    await register(site)
    with program(site, "c1"):
        await come_to(site, "c1", "leading")
        before = site.versions()
    with program(site, "c1"):
        await come_to(site, "c1", "leading")
        assert site.versions() == before
        lease = site.kube.request("GET", site.path("a", "leases", "netctl-controller"))
        assert lease["spec"]["leaseTransitions"] == 1


async def test_one_that_was_stopped_writes_nothing_when_it_wakes_and_another_leads(site: RealSite) -> None:
    await register(site)
    with program(site, "c1") as first:
        await come_to(site, "c1", "leading")
        with program(site, "c2"):
            await come_to(site, "c2", "standby")
            first.send_signal(signal.SIGSTOP)
            await come_to(site, "c2", "leading")
            await site.delete("orders/a-vm2")
            await site.put("orders", "a-vm3", "10.1.3.10")
            await site.ready("a", "orders", "10.1.1.10", "10.1.3.10")
            before = site.versions()
            first.send_signal(signal.SIGCONT)
            await come_to(site, "c1", "standby")
            assert site.versions() == before


async def test_sigterm_gives_the_lease_back_and_leaves_the_names(site: RealSite) -> None:
    await register(site)
    with program(site, "c1") as first:
        await come_to(site, "c1", "leading")
        before = site.versions()
        first.terminate()
        await until(lambda: first.poll() is not None, 5)
        assert first.returncode == 0
    assert site.versions() == before
    assert not site.kube.request("GET", site.path("a", "leases", "netctl-controller"))["spec"].get("holderIdentity")
    assert not (site.folder / "c1" / "controller.sock").exists()


async def test_its_log_is_json_lines_without_a_token_or_a_traceback(site: RealSite) -> None:
    await register(site)
    with program(site, "c1"):
        await come_to(site, "c1", "leading")
        site.etcd.kill()
        log = site.folder / "c1.log"
        await until(lambda: "refuse" in log.read_text(), 5)
    text = log.read_text()
    assert {json.loads(line)["program"] for line in text.splitlines()} == {"controller"}
    assert "Traceback" not in text
    assert not any(token in text for token in site.tokens.values())


async def test_a_second_one_for_the_same_runtime_dir_is_told_who_runs_there(site: RealSite) -> None:
    with program(site, "c1") as first:
        await come_to(site, "c1", "leading")
        with pytest.raises(EnvironmentLackError, match=rf"pid {first.pid}.*already"):
            run_controller(load_controller(controller_file(site, "c1")))


@pytest.mark.parametrize(
    ("kubeconfig", "says"), [("missing", "does not exist"), ("garbage", "bad.kubeconfig"), ("expired", "expired")]
)
async def test_an_unusable_kubeconfig_costs_that_cluster_alone(site: RealSite, kubeconfig: str, says: str) -> None:
    await register(site)
    path = controller_file(site, "c1")
    content = json.loads(path.read_text())
    bad = site.folder / "bad.kubeconfig"
    if kubeconfig == "garbage":
        bad.write_text("{")
    elif kubeconfig == "expired":
        certificate, key = site.kube.authority.issue(f"expired-{os.getpid()}", days=-1)
        user = {"client-certificate": str(certificate), "client-key": str(key)}
        site.kube.kubeconfig_for(bad, user)
    content["clusters"][1]["kubeconfig"] = str(bad)
    with program(site, "c1", clusters=content["clusters"]):
        await site.ready("a", "orders", *READY)
        status = await ask(site.folder / "c1" / "controller.sock", "status")
        first, second = status["clusters"]
        assert (first["state"], second["state"]) == ("leading", "unreachable")
        assert says in second["reason"].lower()
        assert "\n" not in second["reason"]
