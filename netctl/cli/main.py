"""``main``: find the noun, run its command, turn every outcome into an exit code and one clear line."""

from __future__ import annotations

import errno
import os
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from netctl import __version__
from netctl.cli.nouns import NOUNS, Noun
from netctl.model.errors import NetctlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()
    except NetctlError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # the reader (head, a pager) has what it wanted
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
            _complain(f"no space left on the device{f' of {error.filename}' if error.filename else ''}", "make room")
            return EXIT_FAILED
        return _report_bug(words, error)
    return code


def _run(words: list[str]) -> int:
    if instruction := os.environ.get("_NETCTL_COMPLETE"):
        from netctl.cli.completion import complete

        return complete(instruction)
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage())
        return 0 if words else UsageError.exit_code
    if words[0] in {"-V", "--version"}:
        sys.stdout.write(f"netctl {__version__}\n")
        return 0
    name, rest = words[0], words[1:]
    noun = NOUNS.get(name)
    if noun is None:
        what = "option" if name.startswith("-") else "command"
        near = get_close_matches(name, NOUNS, n=1)
        hint = f"did you mean 'netctl {near[0]}'? " if near else ""
        raise UsageError(f"no such {what}: {name!r}", f"{hint}'netctl --help' lists the commands")
    return _run_noun(name, noun, rest)


def usage() -> str:
    """The text of ``netctl --help``."""
    width = max(map(len, NOUNS)) + 2
    nouns = "".join(f"  {name:<{width}}{noun.summary}\n" for name, noun in NOUNS.items())
    return (
        "Usage: netctl COMMAND [VERB] [OPTIONS]\n\n"
        "Keeps a company's applications reachable across several clouds.\n\n"
        f"Commands:\n{nouns}\n"
        "'netctl COMMAND --help' says more. Output: -o table|wide|json|yaml.\n"
        'Completion: eval "$(_NETCTL_COMPLETE=source_bash netctl)" (or source_zsh, source_fish).\n'
        "Exit codes: 0 ok, 1 objective missed or check failed, 2 usage or configuration, 3 refused or something is\n"
        "missing here, 4 aborted and restored, 5 restore failed, 6 inconclusive, 10 a plan has changes,\n"
        "130 interrupted.\n"
    )


def _run_noun(name: str, noun: Noun, rest: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    from netctl.cli.commands import load_command

    command = load_command(name, noun)
    if not rest and not noun.whole:
        rest = ["--help"]
    try:
        result: Any = command.main(args=rest, prog_name=f"netctl {name}", standalone_mode=False)
    except Abort:
        raise KeyboardInterrupt from None
    except TyperException as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else f"netctl {name}"
        message = error.format_message().rstrip().replace("Value error, ", "")
        raise UsageError(message, f"see '{path} --help'") from None
    if result == EXIT_INTERRUPTED:  # what typer makes of KeyboardInterrupt
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _drop_output() -> None:
    """What is still buffered goes nowhere: Python would try, and complain, once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, hint: str = "") -> None:
    text = f"netctl: {message}\n" + (f"  hint: {hint}\n" if hint else "")
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # nobody reads stderr; the exit code still tells


def _report_bug(words: list[str], error: Exception) -> int:
    """One line on the screen, the traceback in a file (or on stderr when no file can be written)."""
    import traceback

    from netctl.cli.buglog import write_bug

    trace = "".join(traceback.format_exception(error))
    summary = f"internal error: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    path = None if os.environ.get("NETCTL_DEBUG") else write_bug(["netctl", *words], trace)
    if path is None:
        sys.stderr.write(trace)
        _complain(summary, "this is a bug in netctl; please report it with the lines above")
    else:
        _complain(summary, f"this is a bug in netctl; please report it with {path}")
    return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
