"""The commands of the naming half from file to cluster: a real controller process, etcd and kube-apiserver."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netctl.cli.main import main
from tests.controller.real_site import RealSite
from tests.real.etcd import RealEtcd
from tests.real.kube import shared_kube

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RealSite]:
    with RealEtcd(tmp_path / "etcd") as etcd:
        yield RealSite(tmp_path, etcd, shared_kube())


def write_file(site: RealSite) -> Path:
    """A controller file in whose folder the kubeconfigs are."""
    site.settings()
    clusters = [
        f"  - {{name: {name}, cloud: {name}, kubeconfig: {name}.kubeconfig, namespace: {namespace}}}"
        for name, namespace in site.clusters.items()
    ]
    lines = ["version: 1", "identity: c1", f"runtime_dir: {site.folder}/c1", "sources:"]
    lines += [f'  - {{name: vms, etcd: {{endpoints: ["{site.etcd.url}"]}}}}', "clusters:", *clusters, "check: none"]
    path = site.folder / "controller.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def running(file: Path) -> Iterator[None]:
    """``netctl controller run`` as a process of its own; it must end by SIGTERM, and with code 0."""
    command = [sys.executable, "-m", "netctl.cli.main", "controller", "run", "--config", str(file)]
    with (file.parent / "controller.log").open("wb") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log)
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (file.parent / "controller.log").read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def until(what: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def put(site: RealSite) -> None:
    async def every() -> None:
        for number in range(4):
            cloud = "ab"[number % 2]
            await site.put("orders", f"{cloud}-vm{number}", f"10.9.0.{number + 1}", cloud)

    asyncio.run(every())


def test_from_the_file_over_a_plan_to_names_a_hold_and_its_approval(site: RealSite, capsys: Capture) -> None:
    file = write_file(site)
    here = ["--runtime-dir", f"{site.folder}/c1"]

    def ask(*words: str, code: int = 0) -> Any:
        assert main([*words, *here, "-o", "json"]) == code
        return json.loads(capsys.readouterr().out)

    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().err == ""  # every file that it names is there
    put(site)
    assert main(["controller", "plan", "--config", str(file), "-o", "json"]) == 10
    planned = json.loads(capsys.readouterr().out)["writes"]
    wanted = {(cluster, "create", "services", "orders") for cluster in "ab"}
    assert wanted <= {(row["cluster"], row["verb"], row["resource"], row["name"]) for row in planned}
    assert site.objects("a", "services") == []
    with running(file):
        until((site.folder / "c1/controller.sock").exists)
        until(lambda: site.answers("b", "orders") == {"10.9.0.2": True, "10.9.0.4": True})
        until(lambda: ask("status")["controllers"][0]["steady"])
        assert main(["controller", "plan", "--config", str(file)]) == 0
        capsys.readouterr()
        asyncio.run(site.wipe())
        until(lambda: bool(ask("holds", "list")["holds"]))
        (hold,) = ask("holds", "list")["holds"]
        assert (hold["service"], len(hold["instances"])) == ("orders", 4)
        assert main(["status", *here]) == 0
        said = capsys.readouterr().out
        assert hold["id"] in said
        assert hold["reason"] in said
        (explained,) = ask("explain", "orders")["explanations"]
        assert [instance["held"] for instance in explained["instances"]] == [True] * 4
        assert main(["holds", "approve", "nothing", *here]) == 2
        assert hold["id"] in capsys.readouterr().err
        assert ask("holds", "approve", hold["id"])["approved"][0]["service"] == "orders"
        until(lambda: site.objects("a", "services") == [] and site.objects("b", "endpointslices") == [])
        assert ask("holds", "list")["holds"] == []
        assert main(["explain", "orders", *here]) == 2
        assert "there is no service 'orders'" in capsys.readouterr().err
    assert main(["holds", "list", *here]) == 3
    assert "no controller answers at" in capsys.readouterr().err
