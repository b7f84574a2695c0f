"""The devices under test: netctl, BIRD and FRR, each set up for ECMP and BFD as its own documentation recommends."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Protocol

from tests.bench.rig import ROUTE_DAEMON_DIR, sh, start


class Gateway(Protocol):
    """One way to run the dut."""

    name: str

    def start(self, bfd_ms: int) -> None:
        """Start it in the node ``dut``."""

    def settled(self, size: int) -> bool:
        """Whether the kernel holds all ``size`` routes over both providers."""


def _paths(protocol: str) -> tuple[int, int]:
    """(routes, next hops) of one protocol in the dut's main table, as ``ip route`` prints them."""
    lines = sh("ip", "-n", "dut", "route", "show", "proto", protocol).splitlines()
    return sum(not line.startswith(("\t", " ")) for line in lines), sum("nexthop via" in line for line in lines)


class Bird:
    name = "bird"

    def start(self, bfd_ms: int) -> None:
        providers = "".join(
            f"protocol bgp p{n} {{ local 10.0.{n}.1 as 65100; neighbor 10.0.{n}.2 as {65000 + n}; bfd on;\n"
            "  hold time 90; connect delay time 1; connect retry time 1; error wait time 1,2;\n"
            "  ipv4 { import all; export none; }; }\n"
            for n in (1, 2)
        )
        config = ROUTE_DAEMON_DIR / "dut.conf"
        config.write_text(
            "router id 10.0.1.1;\nprotocol device {}\n"
            f'protocol bfd {{ interface "gw-*" {{ interval {bfd_ms} ms; multiplier 3; }}; }}\n'
            "protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; merge paths on; }\n" + providers
        )
        argv = ["bird", "-f", "-c", str(config), "-s", "/run/bench/dut.ctl", "-P", "/run/bench/dut.pid"]
        start("dut", "dut", argv)

    def settled(self, size: int) -> bool:
        return _paths("bird") == (size, 2 * size)


class Frr:
    name = "frr"

    def start(self, bfd_ms: int) -> None:
        folder = ROUTE_DAEMON_DIR / "frr"
        folder.mkdir(parents=True)
        shutil.chown(folder, "frr", "frrvty")
        bfd = "".join(
            f" peer 10.0.{n}.2 interface gw-{p}\n  receive-interval {bfd_ms}\n  transmit-interval {bfd_ms}\n"
            "  detect-multiplier 3\n exit\n"
            for n, p in ((1, "pa"), (2, "pb"))
        )
        neighbours = "".join(
            f" neighbor 10.0.{n}.2 remote-as {65000 + n}\n neighbor 10.0.{n}.2 bfd\n"
            f" neighbor 10.0.{n}.2 timers connect 1\n neighbor 10.0.{n}.2 advertisement-interval 0\n"
            for n in (1, 2)
        )
        configs = {
            "zebra": "",
            "bfdd": f"bfd\n{bfd}",
            "bgpd": "router bgp 65100\n bgp router-id 10.0.1.1\n no bgp ebgp-requires-policy\n"
            " bgp bestpath as-path multipath-relax\n" + neighbours + " address-family ipv4 unicast\n"
            "  maximum-paths 8\n exit-address-family\n",
        }
        for daemon, text in configs.items():
            config = folder / f"{daemon}.conf"
            config.write_text(text)
            argv = [f"/usr/lib/frr/{daemon}", "-u", "frr", "-g", "frr", "--vty_socket", str(folder), "-f", str(config)]
            argv += ["-z", f"{folder}/zserv.api", "-i", f"{folder}/{daemon}.pid", "--log", "stdout"]
            if daemon == "bfdd":
                argv += ["--bfdctl", f"{folder}/bfdd.sock"]
            start("dut", daemon, argv)

    def settled(self, size: int) -> bool:
        return _paths("bgp") == (size, 2 * size)


class Netctl:
    name = "netctl"

    def start(self, bfd_ms: int) -> None:
        bfd = f"{{interval_ms: {bfd_ms}, multiplier: 3}}"
        config = ROUTE_DAEMON_DIR / "dut.yaml"
        config.write_text(
            "version: 1\ngateway: dut\ncloud: a\nasn: 65100\nrouter_id: 10.0.1.1\nruntime_dir: /run/bench/dut\npeers:\n"
            + "".join(
                f"  - {{name: {p}, kind: provider, interface: gw-{p}, local: 10.0.{n}.1, address: 10.0.{n}.2,"
                f" asn: {65000 + n}, hold_time_s: 90, bfd: {bfd}}}\n"
                for n, p in ((1, "pa"), (2, "pb"))
            )
        )
        netctl = str(Path(sys.executable).with_name("netctl"))
        start("dut", "dut", [netctl, "agent", "run", "--standalone", "--config", str(config)])

    def settled(self, size: int) -> bool:
        lines = sh("ip", "-n", "dut", "route", "show", "proto", "110").splitlines()
        if len(lines) != size:
            return False
        nexthops = sh("ip", "-n", "dut", "nexthop", "show")
        ids = {line.split(" nhid ")[1].split()[0] for line in lines}
        members = {
            line.split()[1]: line.split(" dev ")[1].split()[0] for line in nexthops.splitlines() if " dev " in line
        }
        groups = {
            line.split()[1]: line.split(" group ")[1].split()[0] for line in nexthops.splitlines() if " group " in line
        }
        home = {"gw-pa", "gw-pb"}
        return all({members.get(m.split(",")[0]) for m in groups.get(i, "").split("/")} == home for i in ids)


GATEWAYS: dict[str, type[Gateway]] = {"netctl": Netctl, "bird": Bird, "frr": Frr}
