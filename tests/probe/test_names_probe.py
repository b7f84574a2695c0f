"""The names probe against a real CoreDNS and real page servers, in a network namespace of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netctl.lab import page
from netctl.lab.parts import find_part
from netctl.probe.names.spec import Lookup, NamesReport, NamesSpec, Visit

pytestmark = pytest.mark.root

DNS_PORT, PAGE_PORT = 5353, 8080
ROOT = Path(__file__).parents[2]
ZONE = """\
$ORIGIN netctl.internal.
@ 1 IN SOA ns hostmaster 1 60 60 60 1
orders 1 IN A 127.0.1.1
       1 IN A 127.0.1.2
lonely 1 IN A 127.0.1.3
"""
COREFILE = """\
netctl.internal:%d {
    bind 127.0.0.1
    file %s
}
"""


class Ground:
    """A network namespace with a loopback; what is started there ends with the test, whatever ends the test."""

    def __init__(self) -> None:
        keep = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
        self._keeper = subprocess.Popen(keep, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._started: list[subprocess.Popen[bytes]] = []
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"up\n"

    def popen(self, *argv: str, **kwargs: Any) -> subprocess.Popen[bytes]:
        kwargs.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
        enter = ["nsenter", "-t", str(self._keeper.pid), "--net", "setpriv", "--pdeathsig", "KILL"]
        self._started.append(subprocess.Popen([*enter, *argv], **kwargs))
        return self._started[-1]

    def page(self, address: str, node: str, cloud: str) -> subprocess.Popen[bytes]:
        """One server to an address, which page.py itself does not choose."""
        script = f"import sys; sys.path.insert(0, {str(Path(page.__file__).parent)!r}); import page\n"
        script += f"page._Page.node, page._Page.cloud = {node!r}, {cloud!r}\n"
        script += f"page._Server(({address!r}, {PAGE_PORT}), page._Page).serve_forever()"
        return self.popen(sys.executable, "-I", "-S", "-c", script, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        for process in (*self._started, self._keeper):
            process.kill()
            process.communicate()


@pytest.fixture
def ground() -> Iterator[Ground]:
    made = Ground()
    yield made
    made.close()


def coredns(ground: Ground, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "zone").write_text(ZONE, encoding="ascii")
    (folder / "Corefile").write_text(COREFILE % (DNS_PORT, folder / "zone"), encoding="ascii")
    return ground.popen(str(find_part("coredns")), "-conf", str(folder / "Corefile"), stdout=subprocess.DEVNULL)


def lookup(service: str) -> Lookup:
    return Lookup(service, "", "127.0.0.1", f"{service}.netctl.internal", DNS_PORT)


def visit(service: str) -> Visit:
    return Visit(service, "", "127.0.0.1", f"{service}.netctl.internal", PAGE_PORT, DNS_PORT)


class Probe:
    def __init__(self, ground: Ground, spec: NamesSpec) -> None:
        argv = [sys.executable, "-m", "netctl.probe.names", "-"]
        self.process = ground.popen(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(spec) + b"\n")
        self.process.stdin.flush()

    def clean(self, wanted_ms: int = 400) -> None:
        """Wait until all has been well for so long, counted from now."""
        begun_ns = time.monotonic_ns()
        status = self.until(lambda s: min(s["clean_ms"], (s["at_ns"] - begun_ns) // 10**6) >= wanted_ms)
        assert status["waiting"] == []

    def until(self, wanted: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            status: dict[str, Any] = json.loads(self.process.stdout.readline())
            if wanted(status):
                return status
        pytest.fail("it did not come about")

    def report(self) -> NamesReport:
        output, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return msgspec.json.decode(output.splitlines()[-1], type=NamesReport)


def test_what_is_well_is_reported_with_who_answered_and_evenly_spread(ground: Ground, tmp_path: Path) -> None:
    coredns(ground, tmp_path)
    ground.page("127.0.1.1", "a-vm1", "a")
    ground.page("127.0.1.2", "b-vm1", "b")
    probe = Probe(ground, NamesSpec((lookup("orders"),), (visit("orders"),)))
    probe.clean(1000)
    report = probe.report()
    (asked,), (visited,) = report.lookups, report.visits
    assert ("NOERROR", ("127.0.1.1", "127.0.1.2")) in {(a.rcode, a.addresses) for a in asked.answers}
    well = [visited.endings[ended] for ended in visited.series.ended if visited.endings[ended].ok]
    assert {(e.address, e.who, e.cloud) for e in well} == {("127.0.1.1", "a-vm1", "a"), ("127.0.1.2", "b-vm1", "b")}
    lasted_ms = (report.ended_ns - report.started_ns) / 1e6
    for series in (asked.series, visited.series):
        assert lasted_ms / 20 * 0.5 <= len(series.begun_us) <= lasted_ms / 20 + 1  # less only on a machine that is busy
        assert list(series.begun_us) == sorted(series.begun_us)


def test_a_server_that_dies_is_refused_and_one_that_is_stopped_times_out(ground: Ground, tmp_path: Path) -> None:
    coredns(ground, tmp_path)
    servers = [ground.page("127.0.1.1", "a-vm1", "a"), ground.page("127.0.1.2", "a-vm2", "a")]
    probe = Probe(ground, NamesSpec((), (visit("orders"),)))
    probe.clean()
    servers[0].kill()
    os.kill(servers[1].pid, signal.SIGSTOP)
    sent = probe.until(lambda status: "orders" in status["waiting"])["sent"]
    probe.until(lambda status: status["sent"] > sent + 20)
    report = probe.report()
    failed = {e.what: e.address for e in report.visits[0].endings if not e.ok and e.address}
    assert failed.items() >= {("refused", "127.0.1.1"), ("timeout", "127.0.1.2")}
    slow = [
        took
        for took, ended in zip(report.visits[0].series.took_us, report.visits[0].series.ended, strict=True)
        if report.visits[0].endings[ended].what == "timeout"
    ]
    assert 990_000 <= min(slow) <= max(slow) <= 1_500_000


def test_a_name_that_is_not_there_and_one_without_a_server_say_so(ground: Ground, tmp_path: Path) -> None:
    coredns(ground, tmp_path)
    names = ("nobody", "lonely")
    probe = Probe(ground, NamesSpec(tuple(map(lookup, names)), tuple(map(visit, names))))
    probe.until(lambda status: status["received"] > 10)
    report = probe.report()
    asked = {r.name: {a.rcode for a in r.answers} for r in report.lookups}
    assert "NXDOMAIN" in asked["nobody"]
    assert "NOERROR" in asked["lonely"]
    visited = {r.name: {e.what for e in r.endings} for r in report.visits}
    assert "NXDOMAIN" in visited["nobody"]
    assert "refused" in visited["lonely"]


def test_a_name_server_that_is_killed_is_refused_and_found_again_when_it_returns(
    ground: Ground, tmp_path: Path
) -> None:
    server = coredns(ground, tmp_path)
    ground.page("127.0.1.1", "a-vm1", "a")
    ground.page("127.0.1.2", "a-vm2", "a")
    probe = Probe(ground, NamesSpec((lookup("orders"),), (visit("orders"),)))
    probe.clean()
    server.kill()
    probe.until(lambda status: status["waiting"] == ["orders", "orders"])
    coredns(ground, tmp_path)
    probe.clean()
    report = probe.report()
    rcodes = [report.lookups[0].answers[ended].rcode for ended in report.lookups[0].series.ended]
    assert "refused" in rcodes
    assert rcodes[-1] == "NOERROR"
    assert report.visits[0].endings[report.visits[0].series.ended[-1]].ok


def test_a_node_that_is_not_there_is_told_in_one_line(ground: Ground) -> None:
    probe = Probe(ground, NamesSpec((msgspec.structs.replace(lookup("orders"), node="nowhere"),), ()))
    assert probe.process.wait(20) == 3
