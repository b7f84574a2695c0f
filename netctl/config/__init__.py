"""Configuration files: YAML in, validated settings out, or every problem at once with its place in the file.

Rules of this room:
- the only room that knows YAML and pydantic; the others are given ``netctl.model`` types;
- a file is never half accepted and no key is ever ignored: a key is known, or it is a problem; a key whose function
  comes later is accepted with its neutral value only;
- all problems are reported together, sorted by place: ``FILE:LINE:COL: where.in.file: what (value 'x'); allowed: …``.

How the pieces live together: ``reader`` turns text into plain data and remembers where each key and value stood (YAML
1.2 core schema; no anchors, tags or second documents). ``KIND_file`` (gateway, controller, checker) says in pydantic
what such a file looks like: names, types, bounds, defaults (``fields`` has the types that they share); the JSON Schema
comes from it. ``shape`` runs that model and words its complaints with the help of that schema. ``KIND_rules`` checks
what spans several keys (names that must exist, values that must differ) on the plain data, with the tools of ``rules``,
so that it also works beside a mistake of shape. ``kind`` puts these together, ``KIND`` builds ``netctl.model`` types;
``kinds`` knows which kind a file is; ``io`` reads files.

Versions: a file starts with ``version: 1``. An unknown newer one is refused as a whole: guessing at it would be worse
than keeping what runs.
"""

from netctl.config.checker import check_checker, parse_checker
from netctl.config.controller import check_controller, parse_controller
from netctl.config.gateway import check_gateway, parse_gateway
from netctl.config.io import absent_files, load_checker, load_controller, load_gateway, read_standard_input, read_text
from netctl.config.kinds import KINDS, check_file
from netctl.config.problem import ConfigError, Problem, lines

__all__ = [
    "KINDS",
    "ConfigError",
    "Problem",
    "absent_files",
    "check_checker",
    "check_controller",
    "check_file",
    "check_gateway",
    "lines",
    "load_checker",
    "load_controller",
    "load_gateway",
    "parse_checker",
    "parse_controller",
    "parse_gateway",
    "read_standard_input",
    "read_text",
]
