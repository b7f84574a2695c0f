"""Kernel settings: which, in which words, and that a folder like /proc/sys is brought to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netctl.fib.io import check_sysctls, set_sysctls
from netctl.fib.sysctls import Sysctl, hash_seed, required
from netctl.model.errors import EnvironmentLackError


@pytest.fixture
def proc_sys(tmp_path: Path) -> Path:
    """A fresh network namespace's settings."""
    fresh = {"ip_forward": "0", "nexthop_compat_mode": "1", "fib_multipath_hash_policy": "0"}
    fresh |= {"fib_multipath_hash_seed": "0", "conf/all/rp_filter": "0", "conf/gw-pa/rp_filter": "1"}
    for name, value in fresh.items():
        path = tmp_path / "net/ipv4" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    return tmp_path


def test_what_deviates_is_set_and_told_and_then_nothing_is_left(proc_sys: Path) -> None:
    told = check_sysctls(["gw-pa"], "ga1", proc_sys)
    assert set_sysctls(["gw-pa"], "ga1", proc_sys) == told
    assert "net.ipv4.nexthop_compat_mode 1 → 0" in told
    assert "net.ipv4.conf.gw-pa.rp_filter 1 → 2" in told
    assert len(told) == 5
    assert (proc_sys / "net/ipv4/ip_forward").read_text() == "1\n"
    assert (proc_sys / "net/ipv4/conf/all/rp_filter").read_text() == "0\n"
    assert check_sysctls(["gw-pa"], "ga1", proc_sys) == []


def test_a_setting_that_cannot_be_written_is_refused_with_the_command(proc_sys: Path) -> None:
    stubborn = proc_sys / "net/ipv4/ip_forward"
    stubborn.unlink()
    stubborn.symlink_to("/proc/sys/kernel/ostype")  # readable, never writable
    with pytest.raises(EnvironmentLackError) as refused:
        set_sysctls(["gw-pa"], "ga1", proc_sys)
    assert refused.value.hint == "sysctl -w net.ipv4.ip_forward=1"
    assert (proc_sys / "net/ipv4/nexthop_compat_mode").read_text() == "0\n"


def test_a_kernel_without_the_hash_seed_is_good_enough_but_not_one_without_the_interface(proc_sys: Path) -> None:
    (proc_sys / "net/ipv4/fib_multipath_hash_seed").unlink()
    set_sysctls(["gw-pa"], "ga1", proc_sys)
    with pytest.raises(EnvironmentLackError, match=r"no setting net\.ipv4\.conf\.gw-pb\.rp_filter"):
        set_sysctls(["gw-pa", "gw-pb"], "ga1", proc_sys)


def test_each_gateway_has_its_own_seed_and_keeps_it() -> None:
    seeds = {name: hash_seed(name) for name in ("ga1", "ga2", "gb1", "gb2")}
    assert len(set(seeds.values())) == 4
    assert hash_seed("ga1") == seeds["ga1"]
    assert all(0 < seed < 1 << 32 for seed in seeds.values())


def test_an_interface_with_a_dot_is_named_with_slashes() -> None:
    assert Sysctl(("net", "ipv4", "conf", "eth0.7", "rp_filter"), ("2",)).key == "net/ipv4/conf/eth0.7/rp_filter"
    assert required("ga1", ["eth0.7"])[-1].path[3] == "eth0.7"
