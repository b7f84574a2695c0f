"""Routes in the way whose owner the kernel does not tell at once: on a real kernel, in a network namespace."""

from __future__ import annotations

import errno
import subprocess

import pytest

from netctl.fib.io import NetlinkKernel
from netctl.model.prefix import parse_prefix
from netctl.model.routing import ROUTE_METRIC, DeleteRoutes, PutRoutes
from tests.fib.test_overflow import GROUP, in_namespace, prepare

PREFIX, OTHER, INSIDE = (parse_prefix(text) for text in ("10.9.0.0/16", "10.8.0.0/16", "10.9.0.0/24"))


def ip(words: str) -> str:
    return subprocess.run(["ip", *words.split()], check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.mark.parametrize(
    "routes",
    [
        ["blackhole 10.9.0.0/16 proto static metric 19"],
        ["10.9.0.0/16 dev left proto static metric 19", "10.9.0.0/24 dev left"],
        ["10.9.0.0/16 dev left proto static metric 19", "10.9.0.0/16 dev left metric 5"],
    ],
    ids=["takes-no-packets", "behind-a-more-specific", "behind-a-better"],
)
def test_a_route_that_is_not_found_by_looking_it_up_is_somebody_elses_all_the_same(routes: list[str]) -> None:
    assert ROUTE_METRIC == 19

    async def scenario() -> None:
        kernel = NetlinkKernel()
        prepare(kernel)
        for route in routes:
            ip(f"route add {route}")
        before = ip("route show")
        (failed,) = kernel.apply([PutRoutes((PREFIX,), GROUP, create=True)])
        assert (failed.errno, failed.prefixes) == (errno.EEXIST, (PREFIX,))
        assert failed.message == "a route of another program is in the way"
        assert kernel.apply([DeleteRoutes((PREFIX,))]) == []
        assert ip("route show") == before
        kernel.close()

    in_namespace(scenario)


def test_netctls_own_route_behind_a_more_specific_one_is_known_as_its_own() -> None:
    async def scenario() -> None:
        kernel = NetlinkKernel()
        prepare(kernel)
        assert kernel.apply([PutRoutes((PREFIX, INSIDE), GROUP)]) == []
        assert kernel.apply([PutRoutes((OTHER, PREFIX), GROUP, create=True)]) == []
        assert kernel.dump().routes == dict.fromkeys((PREFIX, INSIDE, OTHER), GROUP)
        kernel.close()

    in_namespace(scenario)
