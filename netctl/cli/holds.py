"""``netctl holds``: what the guards hold back, and the consent to let it go."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from netctl.cli.output import Format, OutputOption, emit_views, progress
from netctl.cli.sources import LabOption, RuntimeDirOption, Source, ask_all, find_controllers
from netctl.cli.status_names import hold_views, merged
from netctl.model.errors import EnvironmentLackError, NetctlError, UsageError

app = typer.Typer(help="What the guards hold back, and the consent to let it go.", no_args_is_help=True)


@app.command("list")
def list_(runtime_dir: RuntimeDirOption = None, lab: LabOption = None, output: OutputOption = Format.table) -> int:
    """Every hold of every controller found here. Exit code 1 when a controller does not answer."""
    found = _controllers(runtime_dir, lab)
    holds, failures = _holds(found)
    if len(failures) == len(found):
        raise failures[0]
    for failure in failures:
        progress(failure.message)
    emit_views({"holds": holds}, list(hold_views(holds, time.time())), output)
    if not holds:
        progress("no holds")
    return 1 if failures else 0


@app.command()
def approve(
    hold: Annotated[str, typer.Argument(metavar="ID", help="as 'netctl holds list' shows it")],
    runtime_dir: RuntimeDirOption = None,
    lab: LabOption = None,
    output: OutputOption = Format.table,
) -> int:
    """Let a hold go: what it keeps is removed. Every controller found is told; those that lead act."""
    found = _controllers(runtime_dir, lab)
    answers = list(zip(found, ask_all(found, "approve", hold), strict=True))
    took = [
        {**answer["approved"], "by": _called(source)} for source, answer in answers if not isinstance(answer, Exception)
    ]
    refusals = {_called(source): answer for source, answer in answers if isinstance(answer, NetctlError)}
    if not took:
        raise _refusal(hold, found, refusals)
    if output in {Format.json, Format.yaml}:
        emit_views({"approved": took, "refused": {who: error.message for who, error in refusals.items()}}, [], output)
        return 0
    for row in took:
        typer.echo(f"{row['by']} lets {row['id']} go: {', '.join(row['instances'])} of {row['service']}")
    for who, error in refusals.items():
        progress(f"{who}: {error.message}")
    return 0


def _refusal(hold: str, found: list[Source], refusals: dict[str, NetctlError]) -> NetctlError:
    """Why nobody took an approval: no such hold, or each one's reason."""
    holds, failures = _holds(found)
    if len(failures) == len(found):
        return failures[0]
    known = [str(row["id"]) for row in holds]
    if hold not in known:
        return UsageError(
            f"no hold is called {hold!r}", f"holds: {', '.join(known)}" if known else "there are none now"
        )
    failure = NetctlError(
        f"no controller lets {hold} go: " + "; ".join(f"{who}: {error.message}" for who, error in refusals.items()),
        next((error.hint for error in refusals.values() if error.hint), ""),
    )
    failure.exit_code = max(error.exit_code for error in refusals.values())
    return failure


def _holds(found: list[Source]) -> tuple[list[dict[str, Any]], list[NetctlError]]:
    """The holds of those that answer, and why the others do not."""
    answers = list(zip(found, ask_all(found, "holds"), strict=True))
    told = [
        {"label": source.label, "controller": _called(source), **answer}
        for source, answer in answers
        if not isinstance(answer, Exception)
    ]
    return merged(told, "holds", ("id",)), [answer for _, answer in answers if isinstance(answer, NetctlError)]


def _controllers(runtime_dir: RuntimeDirOption, lab: LabOption) -> list[Source]:
    found = find_controllers(runtime_dir, lab)
    if not found:
        raise EnvironmentLackError(
            "no controller found here", "netctl controller run --config FILE, or --runtime-dir DIR"
        )
    return found


def _called(source: Source) -> str:
    return source.label or source.name
