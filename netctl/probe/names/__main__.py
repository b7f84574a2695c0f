"""``python -m netctl.probe.names SPEC.json`` (``-``: the specification is the first line of standard input)."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import msgspec

from netctl.model.errors import NetctlError, UsageError
from netctl.probe.io import first_line
from netctl.probe.names.shell import NamesProbeShell
from netctl.probe.names.spec import NamesSpec
from netctl.probe.shell import print_line


def main(arguments: list[str]) -> int:
    try:
        spec = _specification(arguments)
        gc.freeze()
        print_line(asyncio.run(NamesProbeShell(spec).run()))
    except NetctlError as error:
        print(f"netctl: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except (BrokenPipeError, KeyboardInterrupt):
        return 1  # whoever asked is gone
    return 0


def _specification(arguments: list[str]) -> NamesSpec:
    if len(arguments) != 1:
        raise UsageError(
            "usage: python -m netctl.probe.names SPEC.json", "use - to give it on standard input, as one line"
        )
    try:
        text = first_line() if arguments[0] == "-" else Path(arguments[0]).read_bytes()
        return msgspec.json.decode(text, type=NamesSpec)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"cannot read the probe's specification {arguments[0]}: {error}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
