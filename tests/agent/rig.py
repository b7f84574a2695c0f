"""A gateway with two BIRD providers, each in a network namespace of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netctl.agent.io import ask
from netctl.ipc.messages import Request
from netctl.model.errors import NetctlError
from netctl.model.gateway import relay_pid_file

PROVIDERS = {"pa": (65001, 1), "pb": (65002, 2)}
WITHIN_S = 40.0

BIRD = """
log stderr all;
router id 10.0.{n}.2;
protocol device {{ scan time 1; }}
protocol bfd {{ interface "to-ga" {{ min rx interval 50 ms; min tx interval 50 ms; multiplier 3; }}; }}
protocol static far_side {{ ipv4; {routes} }}
protocol bgp to_gateway {{
  local 10.0.{n}.2 as {asn};
  neighbor 10.0.{n}.1 as 65100;
  hold time 9; connect delay time 1; connect retry time 2; error wait time 1, 2;
  bfd on; ttl security on;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
"""


def run(*argv: str, check: bool = True) -> str:
    return subprocess.run(argv, check=check, capture_output=True, text=True).stdout


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {WITHIN_S:.0f} s")
        time.sleep(0.05)
    return value


class Rig:
    """The namespaces and programs."""

    def __init__(self, folder: Path, prefixes: int) -> None:
        self.folder = folder
        self.runtime = folder / "run"
        self.prefixes = prefixes
        self.far: dict[str, subprocess.Popen[bytes]] = {}
        self.birds: dict[str, subprocess.Popen[bytes]] = {}
        self.agent: subprocess.Popen[bytes] | None = None
        run("ip", "link", "set", "lo", "up")
        for name in PROVIDERS:
            self._provider(name)
        self._gateway_file()

    def _provider(self, name: str) -> None:
        asn, n = PROVIDERS[name]
        self.far[name] = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        far = str(self.far[name].pid)
        here = Path("/proc/self/ns/net").readlink()
        wait_for("a namespace", lambda: Path(f"/proc/{far}/ns/net").readlink() != here)
        run("ip", "link", "add", f"gw-{name}", "type", "veth", "peer", "name", "to-ga", "netns", far)
        run("ip", "address", "add", f"10.0.{n}.1/30", "dev", f"gw-{name}")
        run("ip", "link", "set", f"gw-{name}", "up")
        inside = ("nsenter", "-t", far, "-n")
        run(*inside, "ip", "address", "add", f"10.0.{n}.2/30", "dev", "to-ga")
        run(*inside, "ip", "link", "set", "to-ga", "up")
        numbers = [(0x0A020000 + (i << 8)) for i in range(self.prefixes)]
        texts = [f"{x >> 24}.{x >> 16 & 255}.{x >> 8 & 255}.0/24" for x in numbers]
        config = self.folder / f"{name}.conf"
        config.write_text(BIRD.format(n=n, asn=asn, routes=" ".join(f"route {t} blackhole;" for t in texts)))
        control = self.folder / f"{name}.ctl"
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [*inside, "/usr/sbin/bird", "-f", "-c", str(config), "-s", str(control)]
            self.birds[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def _gateway_file(self) -> None:
        peers = "".join(
            f"  - {{name: {name}, kind: provider, interface: gw-{name}, local: 10.0.{n}.1, address: 10.0.{n}.2, "
            f"asn: {asn}, hold_time_s: 9, bfd: {{interval_ms: 50, multiplier: 3}}}}\n"
            for name, (asn, n) in PROVIDERS.items()
        )
        self.config = self.folder / "ga1.yaml"
        self.config.write_text(
            f"version: 1\ngateway: ga1\ncloud: a\nasn: 65100\nrouter_id: 10.0.1.1\nruntime_dir: {self.runtime}\n"
            f"peers:\n{peers}announce:\n  - {{prefix: 10.1.0.0/16, to: [provider]}}\n"
        )

    def start_agent(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            argv = [
                sys.executable,
                "-m",
                "netctl.cli.main",
                "agent",
                "run",
                "--config",
                str(self.config),
                "--standalone",
            ]
            self.agent = subprocess.Popen(argv, stdout=log, stderr=log)

    def status(self) -> dict[str, Any]:
        assert self.agent is not None
        if (code := self.agent.poll()) is not None:
            raise RuntimeError(f"the agent ended with {code}: {(self.folder / 'agent.log').read_text()[-2000:]}")
        try:
            return ask(self.runtime / "agent.sock", Request("status")).body
        except NetctlError:
            return {}

    def steady(self) -> dict[str, Any]:
        def good() -> dict[str, Any] | None:
            status = self.status()
            return status if status.get("steady") and status["fib"]["routes"] == self.prefixes else None

        return dict(wait_for("a steady agent", good))

    def child(self, name: str) -> dict[str, Any]:
        """What status says of a child; empty when the agent does not answer."""
        return dict(self.status().get("children", {}).get(name, {}))

    def silent(self, name: str) -> str:
        """What status says of a child that is silent; empty while it is not."""
        shown = self.child(name)
        return str(shown["state"]) if shown.get("silent_s") else ""

    def relay(self, peer: str) -> int:
        """The pid of a peer's relay, as it has written it down."""
        return int(json.loads((self.runtime / relay_pid_file(peer)).read_text())["pid"])

    def far_link(self, name: str, state: str) -> None:
        run("nsenter", "-t", str(self.far[name].pid), "-n", "ip", "link", "set", "to-ga", state)

    def kernel(self) -> dict[str, Any]:
        routes = json.loads(run("ip", "-j", "route", "show", "proto", "110") or "[]")
        nexthops = json.loads(run("ip", "-j", "nexthop", "show", "proto", "110") or "[]")
        return {"routes": routes, "nexthops": nexthops}

    def announced_to(self, name: str) -> bool:
        shown = run("birdc", "-s", str(self.folder / f"{name}.ctl"), "show", "route", "10.1.0.0/16", check=False)
        return "10.1.0.0/16" in shown

    def kill_agent(self, number: int = signal.SIGKILL) -> int:
        assert self.agent is not None
        self.agent.send_signal(number)
        return self.agent.wait(10)
