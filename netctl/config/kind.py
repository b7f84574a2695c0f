"""A kind of configuration file, and how any of them is read: text → shape and rules → every problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from netctl.config.fields import VERSION
from netctl.config.problem import ConfigError, Loc, Problem
from netctl.config.reader import Document, read_document
from netctl.config.shape import check_shape, json_schema

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Model]):
    """``noun``: gateway, controller, …. ``rules``: what spans several keys, on the plain data."""

    noun: str
    model: type[Model]
    rules: Callable[[Document], list[tuple[Loc, Problem]]]

    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of such a file."""
        return json_schema(self.model)

    def check(self, document: Document) -> tuple[Model | None, list[Problem]]:
        """The validated file, or None and every problem, sorted by place. Never raises."""
        if document.fatal:
            return None, document.problems
        if (refusal := version_problem(document, f"{self.noun} file")) is not None:
            return None, [refusal]
        file, shape = check_shape(document, self.model)
        complained = {loc for loc, _ in shape}
        rules = [problem for loc, problem in self.rules(document) if loc not in complained]
        problems = sorted([*document.problems, *(problem for _, problem in shape), *rules])
        return (None if problems else file), problems

    def read(self, text: str, source: str) -> Model:
        """The validated file. Raises ConfigError with every problem."""
        file, problems = self.check(read_document(text, source))
        if file is None:
            raise ConfigError(source, problems)
        return file


def version_problem(document: Document, noun: str) -> Problem | None:
    """What makes reading further pointless: no mapping, or a version that is not this one."""
    data = document.data
    if data is None:
        return Problem(0, 0, "", "is empty", allowed=f"a {noun} starts with 'version: 1'", source=document.source)
    if not isinstance(data, dict):
        return document.problem((), f"is no {noun}: KEY: VALUE lines are missing", allowed="'version: 1' first")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version == VERSION:
        return None  # a missing or mistyped one is a problem of shape, among others
    what = (
        "this file is of a newer version than this netctl reads; upgrade netctl"
        if version > VERSION
        else "no such version"
    )
    return document.problem(("version",), what, value=str(version), allowed=str(VERSION))
