"""The command line: ``netctl NOUN VERB``.

Rules of this room:
- ``nouns`` is the table; ``main`` imports a noun's module only when that noun is asked for, so that ``--help``,
  ``--version`` and completion stay fast however much the rest grows;
- ``netctl/cli/NOUN.py`` exports ``app``, a ``typer.Typer``: with several commands (verbs), or with exactly one when the
  noun is the whole command (``netctl status``). A command returns None or an exit code;
- data goes to stdout through ``output.emit`` (``-o table|wide|json|yaml``), progress to stderr through
  ``output.progress``; nothing is coloured unless a person's terminal reads it;
- commands raise ``NetctlError`` for what a user can mend: ``main`` prints it in one line with its hint and ends with
  its exit code. Anything else is a bug: one line on stderr, the traceback in a log file whose path that line names.

Exit codes: 0 ok; 1 objective missed or check failed; 2 usage or configuration; 3 refused by a guard, or the environment
lacks something; 4 aborted and restored; 5 restore failed; 6 inconclusive; 10 a plan has changes; 130 interrupted.
"""
