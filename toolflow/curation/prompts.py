"""Renders the prompts of this room: one shipped Jinja template a task, its parts as named blocks.

Catalogue text reaches templates as data only; a sandboxed environment keeps it from being source.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from toolflow.catalog.tool import encode_json

Task = Literal["links", "enrich"]


class Prompt:
    """The template of one task.

    Attributes:
        hash: 16 hexadecimal digits that change with the template.
    """

    def __init__(self, task: Task) -> None:
        source = (files("toolflow") / "prompts" / f"{task}.j2").read_text("utf-8")
        environment = ImmutableSandboxedEnvironment(
            autoescape=False,  # prompts are plain text, not markup
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["json"] = encode_json
        self._template = environment.from_string(source)
        self.hash = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()

    def render(self, block: str, **values: Any) -> str:
        """One block as text, without surrounding white space."""
        return "".join(self._template.blocks[block](self._template.new_context(values))).strip()


@cache
def prompt(task: Task) -> Prompt:
    """The shipped template of a task."""
    return Prompt(task)
