"""Import-linter contracts of netctl's own, used by ``[tool.importlinter]`` in pyproject.toml.

``purity``: modules of the pure rooms import none of the modules that do I/O or read a clock, except those named for it.
``homes``: each third-party library may be imported in its homes only; one without an entry may be imported nowhere.
``clean``: what a program can reach, through any chain, uses only the named third-party libraries.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "netctl"


def is_in(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or lies in it."""
    return module == package or module.startswith(package + ".")


def own_modules(graph: ImportGraph) -> list[str]:
    """netctl's modules, sorted."""
    return sorted(module for module in graph.modules if is_in(module, ROOT))


def third_party(graph: ImportGraph, module: str) -> Iterator[str]:
    """Top-level names of the third-party packages that a module imports itself."""
    for imported in sorted(graph.find_modules_directly_imported_by(module)):
        top = imported.partition(".")[0]
        if top != ROOT and top not in sys.stdlib_module_names:
            yield top


class _Listing(Contract):
    """A contract whose violations are lines of text."""

    @abstractmethod
    def violations(self, graph: ImportGraph) -> Iterable[str]:
        """What breaks it, one a line."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        lines = list(self.violations(graph))
        return ContractCheck(kept=not lines, metadata={"lines": lines})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["lines"]:
            output.print_error(line)


def _line(graph: ImportGraph, importer: str, imported: str) -> str:
    details = graph.get_import_details(importer=importer, imported=imported)
    return ", ".join(str(detail["line_number"]) for detail in details)


class PurityContract(_Listing):
    """Decide purely, act thinly. ``shells`` are names of modules (or of packages around them) that may act."""

    rooms: Any = fields.ListField(subfield=fields.StringField())
    forbidden: Any = fields.ListField(subfield=fields.StringField())
    shells: Any = fields.ListField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterable[str]:
        for module in own_modules(graph):
            parts = module.split(".")
            if len(parts) < 2 or parts[1] not in self.rooms or parts[-1] in self.shells:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                if imported.partition(".")[0] in self.forbidden:
                    place = _line(graph, module, imported)
                    yield f"{module} (line {place}) imports {imported}; only modules named {self.shells} may"


class HomesContract(_Listing):
    """``homes``: ``LIBRARY: PLACE PLACE …``; a place is a room, or ``*.NAME`` for modules of that name anywhere."""

    homes: Any = fields.ListField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterable[str]:
        homes = {library.strip(): places.split() for library, _, places in (row.partition(":") for row in self.homes)}
        for module in own_modules(graph):
            for library in third_party(graph, module):
                if library not in homes:
                    yield f"{module} imports {library}, which has no home in pyproject.toml"
                elif not any(_at_home(module, place) for place in homes[library]):
                    yield f"{module} imports {library}; its homes are {', '.join(homes[library])}"


def _at_home(module: str, place: str) -> bool:
    if place == "*":
        return True
    if place.startswith("*."):
        return module.rpartition(".")[2] == place[2:]
    return is_in(module, f"{ROOT}.{place}")


class CleanContract(_Listing):
    """Everything reachable from ``programs`` imports only the standard library, netctl and ``libraries``."""

    programs: Any = fields.ListField(subfield=fields.StringField())
    libraries: Any = fields.ListField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterable[str]:
        came_from: dict[str, str] = {}
        queue = [module for module in own_modules(graph) if any(is_in(module, room) for room in self.programs)]
        seen = set(queue)
        while queue:
            module = queue.pop()
            for library in third_party(graph, module):
                if library not in self.libraries:
                    yield f"{' <- '.join(_chain(module, came_from))} imports {library}"
            parents = {module.rpartition(".")[0]} - {""}  # importing a module runs its packages
            for reached in sorted(graph.find_modules_directly_imported_by(module) | parents):
                if is_in(reached, ROOT) and reached not in seen:
                    seen.add(reached)
                    came_from[reached] = module
                    queue.append(reached)


def _chain(module: str, came_from: dict[str, str]) -> list[str]:
    chain = [module]
    while chain[-1] in came_from:
        chain.append(came_from[chain[-1]])
    return chain
