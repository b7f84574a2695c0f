"""What commands print: data on stdout in four formats, progress on stderr.

Tables are plain aligned columns (easy to read, grep and cut) that are never truncated; a state word is coloured only
when stdout is a terminal and NO_COLOR is not set. Values may hold what peers sent, so control characters are escaped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer


class Format(StrEnum):
    """The values of ``-o``."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"


OutputOption = Annotated[Format, typer.Option("-o", "--output", help="how to print the data")]
"""The type of a command's ``-o`` parameter: ``output: OutputOption = Format.table``."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. ``key`` may reach into nested mappings with dots. ``wide``: only with ``-o wide``."""

    key: str
    title: str = ""
    wide: bool = False
    right: bool = False

    @property
    def heading(self) -> str:
        return (self.title or self.key.rpartition(".")[2]).replace("_", " ").upper()


@dataclass(frozen=True, slots=True)
class View:
    """One table for people: ``rows`` shown by ``columns``, under ``title``; ``note`` is printed below it. ``below``:
    the key of a sentence that stands on a line of its own under each row, too long for a column."""

    rows: Sequence[Any]
    columns: Sequence[Column | str]
    title: str = ""
    note: str = ""
    below: str = ""


_COLOURS = {
    "32": {
        "passing",
        "up",
        "ok",
        "pass",
        "passed",
        "running",
        "healthy",
        "active",
        "yes",
        "ready",
        "synced",
        "leading",
    },
    "31": {"failing", "down", "fail", "failed", "missed", "dead", "unhealthy", "gone", "error", "lost", "unreachable"},
    "33": {
        "stale",
        "connecting",
        "init",
        "admin_down",
        "held",
        "inconclusive",
        "starting",
        "stopped",
        "unknown",
        "away",
    },
}
_COLOUR_OF = {word: code for code, words in _COLOURS.items() for word in words}


def emit(
    data: Any,
    columns: Sequence[Column | str] | None = None,
    fmt: Format | str = Format.table,
    *,
    file: TextIO | None = None,
) -> None:
    """Print ``data``: a sequence of rows, or one object (shown as KEY VALUE lines).

    Rows and objects are mappings, dataclasses or msgspec Structs. ``columns`` (keys, or ``Column``) choose what the
    table shows; JSON and YAML always hold everything. Without columns the first row's keys are taken.
    """
    if Format(fmt) in {Format.json, Format.yaml}:
        _emit_document(data, Format(fmt), file or sys.stdout)
        return
    plain = to_plain(data)
    if isinstance(plain, Mapping):
        if columns is None:
            rows: Sequence[Any] = [{"key": key, "value": value} for key, value in plain.items()]
            emit_views(data, [View(rows, ["key", "value"])], fmt, file=file)
            return
        plain = [plain]
    rows = plain if isinstance(plain, list) else [{"value": plain}]
    chosen = columns if columns is not None else [str(key) for key in (rows[0] if rows else {})]
    emit_views(data, [View(rows, chosen)], fmt, file=file)


def emit_views(
    data: Any, views: Sequence[View], fmt: Format | str = Format.table, *, file: TextIO | None = None
) -> None:
    """Print ``data`` whole as JSON or YAML, or else the tables ``views`` that show it to people."""
    out = file or sys.stdout
    if Format(fmt) in {Format.json, Format.yaml}:
        _emit_document(data, Format(fmt), out)
        return
    blocks = [_render(view, Format(fmt) is Format.wide, _coloured(out)) for view in views]
    out.write("\n".join(block for block in blocks if block))
    out.flush()


def progress(text: str) -> None:
    """One line of progress on stderr, at once."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads it: the work goes on


def called() -> str:
    """netctl as whoever called it can call it again from here: it may be in no PATH but that of ``make``."""
    program = Path(sys.argv[0]).absolute()
    if program.suffix == ".py":
        return f"{sys.executable} -m netctl.cli.main"
    if program.is_relative_to(Path.cwd()):
        return str(program.relative_to(Path.cwd()))
    return program.name if shutil.which(program.name) == str(program) else str(program)


def to_plain(data: Any) -> Any:
    """Mappings, lists and scalars out of anything msgspec knows (dataclasses, Structs, enums, …); else ``str``."""
    return msgspec.to_builtins(data, builtin_types=(), str_keys=True, enc_hook=_encode_other)


def _encode_other(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _emit_document(data: Any, fmt: Format, out: TextIO) -> None:
    if fmt is Format.json:
        # NaN and infinity become null: JSON has no words for them.
        out.write(msgspec.json.format(msgspec.json.encode(to_plain(data)), indent=2).decode() + "\n")
    else:
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.allow_unicode = True
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # declared None, meant as a flag
        yaml.dump(to_plain(data), out)
    out.flush()


def _coloured(out: TextIO) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _render(view: View, wide: bool, coloured: bool) -> str:
    columns = [column if isinstance(column, Column) else Column(column) for column in view.columns]
    columns = [column for column in columns if wide or not column.wide]
    rows = to_plain(view.rows)
    cells = [[_cell(_reach(row, column.key)) for column in columns] for row in rows]
    lines = [view.title] if view.title else []
    if columns:
        table = [[column.heading for column in columns], *cells]
        widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
        lines.append(_line(table[0], widths, columns, coloured=False))
        for row, shown in zip(rows, cells, strict=True):
            lines.append(_line(shown, widths, columns, coloured))
            if view.below and (sentence := _reach(row, view.below)):
                lines.append(f"  {_cell(sentence)}")
    if view.note:
        lines.append(view.note)
    return "".join(line + "\n" for line in lines)


def _line(row: list[str], widths: list[int], columns: list[Column], coloured: bool) -> str:
    parts = []
    for text, width, column in zip(row, widths, columns, strict=True):
        padded = text.rjust(width) if column.right else text.ljust(width)
        colour = _COLOUR_OF.get(text.lower()) if coloured else None
        parts.append(f"\x1b[{colour}m{padded}\x1b[0m" if colour else padded)
    return "  ".join(parts).rstrip()


def _reach(row: Any, key: str) -> Any:
    if isinstance(row, Mapping) and key in row:
        return row[key]
    for part in key.split("."):
        row = row.get(part) if isinstance(row, Mapping) else None
    return row


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list) and all(not isinstance(item, list | dict) for item in value):
        return ",".join(_cell(item) for item in value) or "-"
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
