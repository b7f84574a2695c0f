"""The checker file: text → ``netctl.model.controller.Checker``."""

from __future__ import annotations

from netctl.config.checker_file import CheckerFile
from netctl.config.controller import resolver, tls_settings
from netctl.config.controller_rules import check_checker_rules
from netctl.config.kind import Kind
from netctl.config.problem import Problem
from netctl.config.reader import read_document
from netctl.config.rules import DEFAULT_RUNTIME_DIR
from netctl.model.controller import Checker

CHECKER = Kind("checker", CheckerFile, check_checker_rules)


def check_checker(text: str, source: str) -> list[Problem]:
    """Every problem of a checker file, sorted by place; empty: it is valid. Never raises."""
    return CHECKER.check(read_document(text, source))[1]


def parse_checker(text: str, source: str, *, folder: str) -> Checker:
    """The validated settings. Raises ConfigError with every problem. ``folder``: the file's own, absolute."""
    file = CHECKER.read(text, source)
    return Checker(
        name=file.checker,
        cloud=file.cloud,
        runtime_dir=file.runtime_dir or f"{DEFAULT_RUNTIME_DIR}/checker-{file.checker}",
        controllers=tuple(file.controllers),
        tls=tls_settings(file.tls, resolver(folder)),
        metrics_listen=file.metrics_listen,
        source=source,
    )
