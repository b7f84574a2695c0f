"""Fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.contract.kernels import FakeHost, Host, RealHost, Scenario, run_in_namespace


@pytest.fixture(params=["real", "fake"])
def on(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario on a fresh host of either kind."""

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            host: Host = RealHost() if request.param == "real" else FakeHost()
            try:
                async with asyncio.timeout(20):
                    await scenario(host)
            finally:
                host.close()

        def work() -> None:
            asyncio.run(main())

        run_in_namespace(work) if request.param == "real" else work()

    return run
