"""The registrar of a lab's VM, on a real etcd."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netctl.lab.registrar import parse
from tests.real.etcd import RealEtcd, free_port

KEY = "/vm/orders/a-vm1"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path / "etcd") as one:
        yield one


def arguments(url: str, ttl: int) -> list[str]:
    words = f"--endpoint {url} --service orders --instance a-vm1 --address 10.1.1.10 --port http=80 --port x=1"
    return [*words.split(), "--cloud", "a", "--ttl", str(ttl)]


class Registrar:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text()


@contextmanager
def registrar(tmp_path: Path, url: str, ttl: int = 5) -> Iterator[Registrar]:
    log = tmp_path / "registrar.log"
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "netctl.lab.registrar", *arguments(url, ttl)]
    with log.open("ab") as file:
        process = subprocess.Popen(argv, stdout=file, stderr=file)
    try:
        yield Registrar(process, log)
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ctl(etcd: RealEtcd, *words: str) -> str:
    done = subprocess.run(
        ["etcdctl", "--endpoints", etcd.url, *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def value(etcd: RealEtcd) -> str:
    return ctl(etcd, "get", KEY, "--print-value-only")


def test_the_entry_is_there_while_it_runs_and_goes_at_once_when_it_is_told_to_stop(
    etcd: RealEtcd, tmp_path: Path
) -> None:
    with registrar(tmp_path, etcd.url, ttl=60) as one:
        until(lambda: bool(value(etcd)))
        assert json.loads(value(etcd)) == {"address": "10.1.1.10", "ports": {"http": 80, "x": 1}, "cloud": "a"}
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(5) == 0
        assert value(etcd) == ""
        assert [line.split()[0] for line in one.said().splitlines()] == ["registered", "left"]


def test_the_lease_is_kept_and_ends_after_a_kill(etcd: RealEtcd, tmp_path: Path) -> None:
    with registrar(tmp_path, etcd.url, ttl=2) as one:
        until(lambda: bool(value(etcd)))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            assert value(etcd)
            time.sleep(0.1)
        one.process.kill()
        until(lambda: not value(etcd))


def test_what_somebody_deleted_stays_deleted(etcd: RealEtcd, tmp_path: Path) -> None:
    with registrar(tmp_path, etcd.url, ttl=1) as one:
        until(lambda: bool(value(etcd)))
        ctl(etcd, "del", KEY)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert not value(etcd)
            time.sleep(0.1)
        assert one.process.poll() is None
        assert len(one.said().splitlines()) == 1


def test_when_its_lease_is_gone_it_registers_again(etcd: RealEtcd, tmp_path: Path) -> None:
    with registrar(tmp_path, etcd.url, ttl=1) as one:
        until(lambda: bool(value(etcd)))
        one.process.send_signal(signal.SIGSTOP)
        until(lambda: not value(etcd))
        one.process.send_signal(signal.SIGCONT)
        until(lambda: bool(value(etcd)))
        assert "is gone, registering again" in one.said()


def test_it_waits_for_an_etcd_that_is_not_there_and_survives_a_restart(tmp_path: Path) -> None:
    etcd = RealEtcd(tmp_path / "etcd")
    try:
        with registrar(tmp_path, etcd.url) as one:
            until(lambda: "Connection refused" in one.said())
            etcd.start()
            until(lambda: bool(value(etcd)))
            etcd.kill()
            until(lambda: one.said().count("Connection refused") == 2)
            etcd.start()
            until(lambda: "answers again" in one.said() or one.said().count("registered") == 2)
            assert value(etcd)
    finally:
        etcd.kill()


def test_told_to_stop_while_etcd_is_away_it_ends_soon(tmp_path: Path) -> None:
    with registrar(tmp_path, f"http://127.0.0.1:{free_port()}") as one:
        until(lambda: "Connection refused" in one.said())
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(5) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [(("--port", "http"), "no NAME=NUMBER"), (("--port", "=80"), "no NAME=NUMBER"), (("--ttl", "0"), "at least 1")],
)
def test_a_wrong_command_line_is_refused(
    change: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([*arguments("http://127.0.0.1:1", 5), *change])
    assert said in capsys.readouterr().err
