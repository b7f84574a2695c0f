"""A real etcd for tests, on free ports of the loopback; it ends with the test, whatever ends the test."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from netctl.lab.parts import find_part
from netctl.model.controller import EtcdSource, SourceSettings


def free_ports(number: int) -> list[int]:
    """Different ports of the loopback that nobody has just now."""
    with ExitStack() as all_open:
        sockets = [all_open.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [int(one.getsockname()[1]) for one in sockets]


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


class RealEtcd:
    """One etcd that can be killed, stopped and started again at the same address, with or without its data."""

    def __init__(self, folder: Path, options: Sequence[str] = (), scheme: str = "http") -> None:
        self.folder = folder
        self.port, self._peer_port, health_port = free_ports(3)
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._health = f"http://127.0.0.1:{health_port}"
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"

    def source(self, name: str = "vms", prefix: str = "/vm/", cloud: str | None = None) -> SourceSettings:
        """How a controller file would name it."""
        return SourceSettings(name, etcd=EtcdSource((self.url,), prefix), cloud=cloud)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it and do not wait. On the main thread: with the thread that started it etcd would end too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        peer = f"http://127.0.0.1:{self._peer_port}"
        argv = [
            *(str(find_part("etcd")), "--data-dir", str(self.data), "--log-outputs", "stderr"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--listen-metrics-urls", self._health, *self._options),
        ]
        with (self.folder / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdout=log, stderr=log)

    def wait(self) -> None:
        """Until it answers."""
        assert self.process is not None
        deadline = time.monotonic() + 20
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"etcd does not start:\n{(self.folder / 'etcd.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self._health}/health", timeout=1) as answer:
                return b"true" in answer.read()
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """As ``kill -9`` does; harmless when it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Stop it as it is: it keeps its connections and says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> RealEtcd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
