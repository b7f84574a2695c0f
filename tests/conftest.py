"""Tests that this user cannot run are counted against the run, not passed over."""

from __future__ import annotations

import os

import pytest

_not_run: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without root, leave out what is marked ``root``."""
    if os.geteuid() == 0:
        return
    left_out = [item for item in items if item.get_closest_marker("root")]
    _not_run.extend(item.nodeid for item in left_out)
    items[:] = [item for item in items if not item.get_closest_marker("root")]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run."""
    if _not_run:
        terminalreporter.write_line(f"{len(_not_run)} tests need root and were NOT run; as root: make test", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that left tests out is no success."""
    if _not_run and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
