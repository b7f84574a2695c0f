"""``netctl config check|schema|migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netctl.cli.output import Format, OutputOption, emit, progress
from netctl.config import (
    KINDS,
    ConfigError,
    Problem,
    absent_files,
    check_file,
    lines,
    load_checker,
    load_controller,
    read_standard_input,
    read_text,
)
from netctl.model.errors import UsageError

app = typer.Typer(help="Check and migrate configuration files, print their schema.", no_args_is_help=True)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="gateway, controller or checker files; - is standard input", show_default=False
    ),
]


@app.command()
def check(files: Files, output: OutputOption = Format.table) -> int:
    """Check files of any kind: every problem with its line and column. Exit code 0: all are valid, 2: not all."""
    results = [(str(path), *_checked(path)) for path in files]
    data = [
        {"file": name, "kind": kind, "valid": not problems, "problems": [_row(problem) for problem in problems]}
        for name, kind, problems in results
    ]
    if output in {Format.json, Format.yaml}:
        emit(data, fmt=output)
    else:
        # Findings are this command's data; one a line, as compilers print them, so that editors can jump there.
        for name, kind, problems in results:
            typer.echo("\n".join(lines(problems)) if problems else f"{name}: valid {kind} file")
    for name, kind, problems in results:
        for path in [] if problems or name == "-" else _absent(name, kind):
            progress(f"{name}: names {path}, which is not there (yet)")
    return 2 if any(problems for _, _, problems in results) else 0


def _checked(path: Path) -> tuple[str, list[Problem]]:
    """Kind ("" when that cannot be told) and problems."""
    try:
        return check_file(read_standard_input() if str(path) == "-" else read_text(path), str(path))
    except ConfigError as error:
        return "", list(error.problems)


def _absent(name: str, kind: str) -> list[str]:
    if kind == "controller":
        return absent_files(load_controller(name))
    return absent_files(load_checker(name)) if kind == "checker" else []


def _row(problem: Problem) -> dict[str, object]:
    return {
        "line": problem.line,
        "column": problem.column,
        "where": problem.where,
        "what": problem.what,
        "value": problem.value,
        "allowed": problem.allowed,
        "meant": problem.meant,
        "text": str(problem),
    }


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="gateway, controller or checker")] = "gateway",
) -> None:
    """Print the JSON Schema of a kind of file (for editors)."""
    if kind not in KINDS:
        raise UsageError(f"there are no {kind} files", f"kinds: {', '.join(KINDS)}")
    emit(KINDS[kind].schema(), fmt=Format.json)


@app.command()
def migrate(file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]) -> None:
    """Bring a file to the newest version. There is only version 1 yet, so a valid file needs nothing."""
    kind, problems = _checked(file)
    if problems:
        raise ConfigError(str(file), problems)
    progress(f"{file}: a {kind} file of version 1, the newest; nothing to do")
