"""``netctl config check|schema|migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netctl.cli.output import Format, OutputOption, emit, progress
from netctl.config import ConfigError, Problem, check_gateway, lines, load_gateway, read_standard_input, read_text

app = typer.Typer(help="Check and migrate configuration files, print their schema.", no_args_is_help=True)

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="gateway files; - is standard input", show_default=False)
]


@app.command()
def check(files: Files, output: OutputOption = Format.table) -> int:
    """Check gateway files: every problem with its line and column. Exit code 0: all are valid, 2: not all."""
    results = [(str(path), _problems(path)) for path in files]
    data = [
        {"file": name, "valid": not problems, "problems": [_row(problem) for problem in problems]}
        for name, problems in results
    ]
    if output in {Format.json, Format.yaml}:
        emit(data, fmt=output)
    else:
        # Findings are this command's data; one a line, as compilers print them, so that editors can jump there.
        for name, problems in results:
            typer.echo("\n".join(lines(problems)) if problems else f"{name}: valid")
    return 2 if any(problems for _, problems in results) else 0


def _problems(path: Path) -> list[Problem]:
    try:
        return check_gateway(read_standard_input() if str(path) == "-" else read_text(path), str(path))
    except ConfigError as error:
        return list(error.problems)


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
def schema() -> None:
    """Print the JSON Schema of a gateway file (for editors)."""
    from netctl.config.gateway_file import GatewayFile
    from netctl.config.shape import json_schema

    emit(json_schema(GatewayFile), fmt=Format.json)


@app.command()
def migrate(file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]) -> None:
    """Bring a file to the newest version. There is only version 1 yet, so a valid file needs nothing."""
    load_gateway(file)
    progress(f"{file}: is of version 1, the newest; nothing to do")
