"""``netctl sim``: seeded faults on virtual time, invariants checked after every event."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import count
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Any

import typer

from netctl.cli.output import Column, Format, OutputOption, View, emit, emit_views, progress
from netctl.model.errors import EnvironmentLackError, InterruptError, ObjectiveMissedError, UsageError
from netctl.sim.files import dump_any, load_any
from netctl.sim.names.play import PlayedDeath, play_vm_death
from netctl.sim.outcome import Outcome
from netctl.sim.play import Play, play_provider_cut
from netctl.sim.run import WORLDS, run_seeds, scheduled, shrunk, simulate
from netctl.sim.schedule import PROVIDERS

app = typer.Typer(help="The simulator: seeded faults on virtual time, invariants checked after every event.")


class World(StrEnum):
    """Which half is simulated."""

    both = "both"
    routing = "routing"
    names = "names"


_COLUMNS = (
    "seed",
    "world",
    "verdict",
    Column("faults", right=True),
    Column("events", right=True),
    Column("virtual_s", "virtual s", right=True),
    Column("rest_s", "rest s", right=True),
    "invariant",
    Column("digest", wide=True),
)
SaveOption = Annotated[Path, typer.Option("--save-to", help="folder for the schedules of failures", file_okay=False)]
WorldOption = Annotated[World, typer.Option(help="gateways and providers, or controllers and clusters")]
ShrinkOption = Annotated[bool, typer.Option(help="make a failing schedule small before it is saved")]


@app.command("run")
def run(
    *,
    seeds: Annotated[str | None, typer.Option(help="a range of seeds, like 1..200")] = None,
    seed: Annotated[int | None, typer.Option(help="one seed, its events shown when it fails")] = None,
    replay: Annotated[Path | None, typer.Option(help="a schedule file that a failure has left")] = None,
    world: WorldOption = World.both,
    shrink: ShrinkOption = True,
    save_to: SaveOption = Path(),
    output: OutputOption = Format.table,
) -> None:
    """Run seeds (1..20 when none are named), each in both worlds, and stop at the first that breaks an invariant."""
    if sum(option is not None for option in (seeds, seed, replay)) > 1:
        raise UsageError("--seeds, --seed and --replay exclude each other", "give one of them")
    if replay is not None:
        outcomes: Iterable[Outcome] = map(simulate, [load_any(_read(replay), str(replay))])
        shrink = False
    elif seed is not None:
        outcomes = map(simulate, [scheduled(name, seed) for name in _worlds(world)])
    else:
        outcomes = run_seeds(_range(seeds or "1..20"), _worlds(world))
    _report(outcomes, output, save_to, shrink=shrink, replayed=replay)


@app.command("soak")
def soak(
    *,
    seconds: Annotated[float, typer.Option(min=0.0, help="how long, by the wall clock")] = 60.0,
    first_seed: Annotated[int | None, typer.Option(help="where to begin; anywhere when not named")] = None,
    world: WorldOption = World.both,
    shrink: ShrinkOption = True,
    save_to: SaveOption = Path(),
    output: OutputOption = Format.table,
) -> None:
    """Run seed after seed until the time is over or an invariant is broken."""
    first = first_seed if first_seed is not None else SystemRandom().randrange(1, 1 << 31)
    _report(_within(first, seconds, _worlds(world)), output, save_to, shrink=shrink, summary=True)


@app.command("play")
def play(
    provider: Annotated[str, typer.Option(help="pa or pb")] = "pa",
    objective_ms: Annotated[float, typer.Option(help="the worst outage that is all right")] = 200.0,
    names_objective_ms: Annotated[float, typer.Option(help="how long a dead instance may be answered")] = 1_000.0,
    world: WorldOption = World.both,
    output: OutputOption = Format.table,
) -> int:
    """Play the provider-cut and vm-death drills on virtual time: what the logic does, without a lab."""
    if provider not in PROVIDERS:
        raise UsageError(f"there is no provider {provider!r} in the simulator", f"one of {', '.join(PROVIDERS)}")
    plays: dict[str, tuple[Any, View, bool]] = {}
    if world is not World.names:
        plays["routing"] = _cut_view(play_provider_cut(provider), objective_ms)
    if world is not World.routing:
        plays["names"] = _death_view(play_vm_death(), names_objective_ms)
    emit_views({name: data for name, (data, _, _) in plays.items()}, [view for _, view, _ in plays.values()], output)
    return 0 if all(met for _, _, met in plays.values()) else ObjectiveMissedError.exit_code


def show_play(played: Play, objective_ms: float = 200.0, output: Format = Format.table) -> int:
    """Print a played provider-cut; returns the exit code: 1 when a flow was out for longer than the objective."""
    data, view, met = _cut_view(played, objective_ms)
    emit_views(data, [view], output)
    return 0 if met else ObjectiveMissedError.exit_code


def _cut_view(played: Play, objective_ms: float) -> tuple[Play, View, bool]:
    """The play, how it is shown, and whether no flow was out for longer than the objective."""
    worst = max(played.worst_ms.values())
    met = worst <= objective_ms
    columns = ("name", "direction", Column("provider_before", "provider before"), Column("outage_ms", right=True))
    note = (
        f"SIMULATED, on virtual time: provider {played.provider} cut for {played.cut_ms} ms, "
        f"BFD {played.interval_ms} ms x {played.multiplier}; "
        f"worst outage {worst:.1f} ms, objective {objective_ms:g} ms: {'met' if met else 'missed'}"
    )
    return played, View(played.flows, columns, note=note), met


def _death_view(played: PlayedDeath, objective_ms: float) -> tuple[PlayedDeath, View, bool]:
    worst = max(answer.stale_ms for answer in played.answers)
    met = worst <= objective_ms
    note = (
        f"SIMULATED, on virtual time: {played.instance} died; it was answered for {worst:.1f} ms after that, "
        f"objective {objective_ms:g} ms: {'met' if met else 'missed'}"
    )
    return played, View(played.answers, ("cloud", "service", Column("stale_ms", right=True)), note=note), met


def _worlds(world: World) -> tuple[str, ...]:
    return WORLDS if world is World.both else (world.value,)


def _within(first: int, seconds: float, worlds: tuple[str, ...]) -> Iterator[Outcome]:
    progress(f"seeds from {first} on, for {seconds:g} s")
    end = time.monotonic() + seconds
    for outcome in run_seeds(count(first), worlds):
        yield outcome
        if time.monotonic() >= end:
            return


def _report(
    outcomes: Iterable[Outcome],
    output: Format,
    save_to: Path,
    *,
    shrink: bool,
    replayed: Path | None = None,
    summary: bool = False,
) -> None:
    rows: list[dict[str, Any]] = []
    outcome = _until_failure(outcomes, rows)
    if outcome is None:
        if summary and output in {Format.table, Format.wide}:
            virtual_h = sum(row["virtual_s"] for row in rows) / 3600
            emit({"seeds": len(rows), "virtual_hours": virtual_h, "verdict": "ok"}, fmt=output)
        else:
            emit(rows, _COLUMNS, output)
        return
    emit(rows, _COLUMNS, output)
    if shrink:
        try:
            outcome = shrunk(outcome, progress=progress)
        except KeyboardInterrupt:
            path = _save(outcome, save_to)
            what = f"interrupted while making the failing seed {outcome.schedule.seed} small: it is saved as it is"
            raise InterruptError(what, f"replay it: netctl sim run --replay {path}") from None
    _complain(outcome, replayed or _save(outcome, save_to))


def _until_failure(outcomes: Iterable[Outcome], rows: list[dict[str, Any]]) -> Outcome | None:
    """The first outcome that is a failure; a row for each. Raises InterruptError that says how far it came."""
    try:
        for outcome in outcomes:
            rows.append(_row(outcome))
            if outcome.failure is not None:
                progress(f"seed {outcome.schedule.seed} breaks {outcome.failure.invariant}")
                return outcome
            if len(rows) % 20 == 0:
                progress(f"{len(rows)} seeds without a violation")
    except KeyboardInterrupt:
        last = f", the last one {rows[-1]['seed']}" if rows else ""
        seeds = "1 seed" if len(rows) == 1 else f"{len(rows)} seeds"
        raise InterruptError(f"interrupted after {seeds} without a violation{last}") from None
    return None


def _row(outcome: Outcome) -> dict[str, Any]:
    failure = outcome.failure
    return {
        "seed": outcome.schedule.seed,
        "world": getattr(outcome.schedule, "world", "routing"),
        "verdict": "failed" if failure else "ok",
        "faults": len(outcome.schedule.faults),
        "events": outcome.events,
        "virtual_s": round(outcome.virtual_s, 3),
        "rest_s": round(outcome.rest_s, 3),
        "invariant": failure.invariant if failure else "",
        "detail": failure.detail if failure else "",
        "digest": outcome.digest,
    }


def _complain(outcome: Outcome, path: Path) -> None:
    failure = outcome.failure
    assert failure is not None
    progress("\n".join(("the last events:", *failure.tail, "the schedule:", *map(str, outcome.schedule.faults))))
    raise ObjectiveMissedError(
        f"seed {outcome.schedule.seed} breaks {failure.invariant} at {failure.at_ms:.3f} ms ({failure.event}): "
        f"{failure.detail}",
        f"replay it: netctl sim run --replay {path}",
    )


def _save(outcome: Outcome, folder: Path) -> Path:
    path = folder / f"sim-seed-{outcome.schedule.seed}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dump_any(outcome.schedule))
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot write {path}: {error.strerror}", "choose another folder: --save-to"
        ) from None
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a file that a failing seed has left") from None


def _range(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        numbers = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise UsageError(f"--seeds {text!r} is no range", "write it like 1..200") from None
    if not numbers or numbers[0] < 0:
        raise UsageError(f"--seeds {text!r} holds no seed", "write it like 1..200, from 0 on")
    return numbers
