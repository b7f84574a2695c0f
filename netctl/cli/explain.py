"""``netctl explain``: why a prefix or address goes where it goes, and why a name answers as it does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from netctl.cli.explain_prefix import prefix_views
from netctl.cli.explain_service import service_views
from netctl.cli.output import Format, OutputOption, View, emit_views
from netctl.cli.sources import (
    GatewayOption,
    LabOption,
    RuntimeDirOption,
    Source,
    ask_all,
    find_controllers,
    find_sources,
)
from netctl.model.errors import EnvironmentLackError, NetctlError

app = typer.Typer(add_completion=False)

_SERVICE = re.compile(r"([a-z]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9.-]*)?")
"""A service's name, alone or as the first label of what one asks DNS for."""


@app.command()
def explain(
    target: Annotated[str, typer.Argument(metavar="PREFIX|ADDRESS|SERVICE", help="like 10.2.0.0/16, 10.2.0.5, orders")],
    runtime_dir: RuntimeDirOption = None,
    lab: LabOption = None,
    gateway: GatewayOption = None,
    output: OutputOption = Format.table,
) -> int:
    """Explain every gateway's paths to a prefix or address, or every cluster's answer for a service. Exit code 1 when
    no gateway has a route or announces it, or when the service has no instance."""
    if (service := _SERVICE.fullmatch(target)) is not None:
        return _service(service[1], find_controllers(runtime_dir, lab), output)
    found = [source for source in find_sources(runtime_dir, lab, gateway) if source.program == "agent"]
    if not found:
        raise EnvironmentLackError("no agent found here", "netctl agent run --config FILE, or --runtime-dir DIR")

    def silent(source: Source, error: NetctlError) -> dict[str, Any]:
        return {"asked": target, "found": False, "announced": [], "why": error.message}

    answers = _answers(found, target, "gateway", silent)
    _emit(answers, (view for answer in answers for view in prefix_views(answer)), output)
    return 0 if any(answer["found"] or answer["announced"] for answer in answers) else 1


def _service(service: str, found: list[Source], output: Format) -> int:
    if not found:
        raise EnvironmentLackError(
            "no controller found here", "netctl controller run --config FILE, or --runtime-dir DIR"
        )

    def silent(source: Source, error: NetctlError) -> dict[str, Any]:
        return {"service": service, "sources": [], "instances": [], "clusters": [], "error": error.message}

    answers = _answers(found, service, "controller", silent)
    _emit(answers, service_views(answers), output)
    return 0 if any(answer["instances"] for answer in answers) else 1


def _answers(
    found: list[Source], target: str, program: str, silent: Callable[[Source, NetctlError], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each one's answer, ``silent`` in place of one that gives none. Raises when none gives any."""
    answers = []
    failures = []
    for source, answer in zip(found, ask_all(found, "explain", target), strict=True):
        if isinstance(answer, NetctlError):
            if not isinstance(answer, EnvironmentLackError) and program == "gateway":
                raise answer  # no prefix or address: all would say so
            failures.append(answer)
        told = silent(source, answer) if isinstance(answer, NetctlError) else answer
        answers.append({"label": source.label, program: source.name, **told})
    if len(failures) == len(found):  # the words of one that answers say more than another's silence
        raise next((error for error in failures if not isinstance(error, EnvironmentLackError)), failures[0])
    return answers


def _emit(answers: list[dict[str, Any]], views: Iterator[View], output: Format) -> None:
    emit_views({"explanations": answers}, list(views), output)
