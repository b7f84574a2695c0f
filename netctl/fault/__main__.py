"""``python -m netctl.fault JOURNAL``: the guardian. With ``--undo``: take back what the journal says, and leave."""

from __future__ import annotations

import sys
from pathlib import Path

from netctl.fault.journal import DamagedJournalError
from netctl.fault.shell import GuardianShell, Said, print_line, recover_damaged
from netctl.model.errors import NetctlError, RestoreFailedError


def main(arguments: list[str]) -> int:
    undo = "--undo" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--undo"]
    if len(paths) != 1 or not paths[0].is_file():
        print("netctl: usage: python -m netctl.fault JOURNAL [--undo]", file=sys.stderr)
        return 2
    try:
        return _undo(paths[0]) if undo else _guard(paths[0])
    except NetctlError as error:
        print_line(Said("undo_failed" if undo else "inject_failed", problems=(str(error),)))
        return error.exit_code


def _undo(path: Path) -> int:
    try:
        guardian = GuardianShell(path, print_line)
    except DamagedJournalError:
        return recover_damaged(path, print_line)
    return 0 if guardian.closed else guardian.undo_now()


def _guard(path: Path) -> int:
    try:
        guardian = GuardianShell(path, print_line)
    except DamagedJournalError:
        return RestoreFailedError.exit_code
    if guardian.closed:
        return 0
    guardian.prepare()
    return guardian.run(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
