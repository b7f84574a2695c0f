"""A small network in namespaces of its own: a - ga - (pa | pb) - gb - b, kernel ECMP, nobody who fails over.

Started as a program (``python small_net.py INIT_PID STATE DURATION_S LIMIT_S``) it runs a provider-cut there and exits
with the drill's code: a runner that tests can kill.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netctl.drill.acts import shell
from netctl.drill.catalogue import find
from netctl.drill.experiments import Options
from netctl.drill.facts import Facts, GatewayFacts, Host
from netctl.drill.shell import Runner
from netctl.fault.faults import LinkCut, LinkEnd
from netctl.lab.namespaces import die_with_parent

BUILD = r"""
set -e
mount -t tmpfs tmpfs /run; mkdir -p /run/netns /run/netctl; mount --bind "$1" /run/netctl
for n in a ga pa pb gb b; do
  ip netns add $n; ip -n $n link set lo up
  ip netns exec $n sh -c 'cd /proc/sys/net/ipv4; echo 1 > ip_forward; echo 1 > fib_multipath_hash_policy
                          echo 0 > conf/all/rp_filter; echo 0 > conf/default/rp_filter'
done
link() { ip -n $1 link add $2 type veth peer name $5 netns $4
         ip -n $1 addr add $3 dev $2; ip -n $4 addr add $6 dev $5; ip -n $1 link set $2 up; ip -n $4 link set $5 up; }
link a eth0 10.1.1.2/24 ga fabric 10.1.1.1/24
link ga gw-pa 10.0.1.1/30 pa to-ga 10.0.1.2/30
link ga gw-pb 10.0.2.1/30 pb to-ga 10.0.2.2/30
link gb gw-pa 10.0.3.1/30 pa to-gb 10.0.3.2/30
link gb gw-pb 10.0.4.1/30 pb to-gb 10.0.4.2/30
link b eth0 10.2.1.2/24 gb fabric 10.2.1.1/24
ip -n a route add default via 10.1.1.1; ip -n b route add default via 10.2.1.1
ip -n ga route add 10.2.0.0/16 nexthop via 10.0.1.2 nexthop via 10.0.2.2
ip -n gb route add 10.1.0.0/16 nexthop via 10.0.3.2 nexthop via 10.0.4.2
ip -n pa route add 10.1.0.0/16 via 10.0.1.1; ip -n pa route add 10.2.0.0/16 via 10.0.3.1
ip -n pb route add 10.1.0.0/16 via 10.0.2.1; ip -n pb route add 10.2.0.0/16 via 10.0.4.1
echo ready
exec cat
"""
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
NODES = ("a", "ga", "pa", "pb", "gb", "b")
ROOT = Path(__file__).parents[2]
HASTE = {"BASELINE_S": 0.2, "CLEAN_MS": 300, "TAIL_MS": 300}
"""Shorter waits than an operator's, by name in ``netctl.drill.acts.shell``."""


class SmallSite:
    """A ``netctl.drill.site.Site`` around the init of such a network."""

    name = "small"
    inside = "/run/netctl/drills"

    def __init__(self, init_pid: int, state: Path) -> None:
        self.init_pid = init_pid
        self.folder = state / "drills"
        self.folder.mkdir(exist_ok=True)
        self.missing: list[str] = []

    def gone(self) -> bool:
        return not Path(f"/proc/{self.init_pid}").exists()

    def unsteady(self) -> list[str]:
        return self.missing

    def facts(self) -> Facts:
        exits = {"gw-pa": "pa", "gw-pb": "pb"}
        return Facts(
            lab=self.name,
            hosts=(Host("a", "10.1.1.2", "a"), Host("b", "10.2.1.2", "b")),
            gateways=(GatewayFacts("ga", "a", exits), GatewayFacts("gb", "b", exits)),
            provider_links={p: self.cut_of(p).ends for p in ("pa", "pb")},
        )

    def cut_of(self, provider: str) -> LinkCut:
        ends = [(g, f"gw-{provider}") for g in ("ga", "gb")] + [(provider, f"to-{g}") for g in ("ga", "gb")]
        return LinkCut(tuple(LinkEnd(f"/run/netns/{node}", interface) for node, interface in ends))

    def controllers(self) -> dict[str, dict[str, Any] | None]:
        return {}

    def popen(self, node: str | None, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        enter = ["nsenter", "-t", str(self.init_pid), "-m", "-n", "-p"]
        inner = ["ip", "netns", "exec", node] if node else []
        kwargs.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
        return subprocess.Popen([*enter, *inner, *argv], **kwargs)

    def python(self, *arguments: str, node: str | None = None, **kwargs: Any) -> subprocess.Popen[bytes]:
        return self.popen(node, [sys.executable, *arguments], **kwargs)

    def call(self, node: str | None, *argv: str) -> str:
        process = self.popen(node, argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0, output
        return output.decode()

    def cut_ends(self) -> list[str]:
        """Interfaces that are cut, as NODE:INTERFACE."""
        shown = [(n, s) for n in NODES for s in self.call(n, "tc", "qdisc", "show").splitlines()]
        return sorted(f"{n}:{s.split()[s.split().index('dev') + 1]}" for n, s in shown if "blackhole" in s)

    def runner(self, duration_s: float = 1.0, limit_s: float = 60.0) -> subprocess.Popen[bytes]:
        """A provider-cut in a process of its own; its progress is on stderr."""
        state = str(self.folder.parent)
        argv = [sys.executable, __file__, str(self.init_pid), state, str(duration_s), str(limit_s)]
        return subprocess.Popen(argv, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})


class SmallNet(SmallSite):
    """Up until ``close``; the namespaces end with the shell that is their init."""

    def __init__(self, state: Path) -> None:
        self._init = subprocess.Popen(
            [*UNSHARE, "sh", "-c", BUILD, "sh", state],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text(encoding="ascii")
        super().__init__(int(children.split()[0]), state)

    def close(self) -> None:
        self._init.kill()
        self._init.wait()
        for pipe in (self._init.stdin, self._init.stdout):
            if pipe:
                pipe.close()


def main(init_pid: str, state: str, duration_s: str, limit_s: str) -> int:
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    vars(shell).update(HASTE)
    site = SmallSite(int(init_pid), Path(state))
    options = Options(duration_s=float(duration_s))
    result = asyncio.run(Runner(site, find("provider-cut"), options, float(limit_s), say).run())
    say(f"{result.verdict}: {result.reason}")
    return result.exit_code


if __name__ == "__main__":
    die_with_parent()  # a stopped runner of a failed test too
    sys.exit(main(*sys.argv[1:]))
