"""``netctl explain``: why a prefix or address goes where it goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from netctl.cli.gateways import GatewayOption, LabOption, RuntimeDirOption, find_sources
from netctl.cli.output import Column, Format, OutputOption, View, emit_views
from netctl.model.errors import EnvironmentLackError, NetctlError

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    target: Annotated[str, typer.Argument(metavar="PREFIX|ADDRESS", help="like 10.2.0.0/16 or 10.2.0.5")],
    runtime_dir: RuntimeDirOption = None,
    lab: LabOption = None,
    gateway: GatewayOption = None,
    output: OutputOption = Format.table,
) -> int:
    """Explain every gateway's paths to a prefix or address. Exit code 1 when no gateway has a route or announces it."""
    from netctl.agent.io import ask
    from netctl.ipc.messages import Request

    found = find_sources(runtime_dir, lab, gateway)
    if not found:
        raise EnvironmentLackError("no agent found here", "netctl agent run --config FILE, or --runtime-dir DIR")
    answers: list[dict[str, Any]] = []
    failures: list[NetctlError] = []
    for source in found:
        answer: dict[str, Any] = {"label": source.label, "gateway": source.gateway}
        try:
            answers.append({**answer, **ask(source.socket, Request("explain", target)).body})
        except EnvironmentLackError as error:  # the others can still tell
            failures.append(error)
            answers.append({**answer, "asked": target, "found": False, "announced": [], "why": error.message})
    if len(failures) == len(found):
        raise failures[0]
    emit_views({"explanations": answers}, [view for answer in answers for view in _views(answer)], output)
    return 0 if any(answer["found"] or answer["announced"] for answer in answers) else 1


def _views(answer: dict[str, Any]) -> Iterator[View]:
    where = answer["label"] or answer["gateway"]
    own = [f"this gateway announces {a['prefix']} {_to(a)}" for a in answer["announced"]]
    if own:
        yield View([], [], title="\n".join(f"{where}: {line}" for line in own))
    if not answer["found"] and own:
        return
    if not answer["found"]:
        yield View([], [], title=f"{where}: {answer['asked']}: {answer['why']}")
        return
    kernel = answer["kernel"]
    in_kernel = f"group {kernel['group']}" if kernel["route"] else "NOT in the kernel"
    yield View(
        [{**path, "used": _used(path)} for path in answer["paths"]],
        ["peer", "kind", "used", "as_path", Column("next_hop", wide=True), Column("med", wide=True), "why"],
        title=f"{where}: {answer['asked']} is in {answer['prefix']}, {in_kernel}",
    )
    if kernel["members"]:
        yield View(
            kernel["members"],
            [
                Column("peer", "member"),
                "weight",
                "via",
                "interface",
                "points_at",
                Column("for_s", "for s", right=True),
                "bfd",
                Column("member", "id", wide=True),
            ],
        )
    yield View(answer["if_failed"], [Column("peer", "if this fails"), "bfd_down", "session_ends"])


def _used(path: dict[str, Any]) -> str | bool:
    return f"by {path['carried_by']} for now" if path["carried_by"] else bool(path["used"])


def _to(announcement: dict[str, Any]) -> str:
    """To whom, and what that hangs on: ``to pa (not to pb now; when peer:fabric=met)``."""
    told = announcement["announced_to"]
    remarks = [f"not to {', '.join(left)} now"] if (left := [p for p in announcement["to"] if p not in told]) else []
    remarks += [f"when {', '.join(f'{name}={met}' for name, met in announcement['when'].items())}"] * bool(
        announcement["when"]
    )
    return f"to {', '.join(told) or 'nobody'}" + (f" ({'; '.join(remarks)})" if remarks else "")
