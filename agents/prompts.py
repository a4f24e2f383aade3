"""Renders the prompts: one Jinja template a role, its parts as named blocks, versioned by hash.

Catalogue and model text reaches templates as data only; a sandboxed environment keeps it from being source.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from toolflow.catalog.tool import encode_json
from toolflow.errors import UsageError

PromptRole = Literal["planner", "user", "assistant", "tool"]
ROLES: tuple[PromptRole, ...] = ("planner", "user", "assistant", "tool")


_MOST_REMEMBERED: Final = 1024
"""Names can come from model text, too."""
_LIKE_SHIPPED: Final = "The shipped prompts show which blocks there are and what they are given."


class Prompts:
    """The templates of the four roles.

    Args:
        folder: Folder that holds ``planner.j2``, ``user.j2``, ``assistant.j2`` and ``tool.j2``;
            None for the ones that ship with the package.

    Attributes:
        sources: The text of each role's template.
        hashes: What stands for it in a run's fingerprint.

    Raises:
        UsageError: A template is missing, or is not valid Jinja.
    """

    def __init__(self, folder: str | None = None) -> None:
        shipped = files("toolflow") / "prompts"
        loader: jinja2.BaseLoader = (
            jinja2.FileSystemLoader(folder)
            if folder is not None
            else jinja2.FunctionLoader(lambda name: (shipped / name).read_text("utf-8"))
        )
        environment = _Sandbox(
            loader=loader,
            autoescape=False,  # prompts are plain text, not markup
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["json"] = encode_json
        self._constant: dict[tuple[PromptRole, str], str] = {}
        self._templates: dict[PromptRole, jinja2.Template] = {}
        self.sources: dict[PromptRole, str] = {}
        self.hashes: dict[PromptRole, str] = {}
        for role in ROLES:
            name = f"{role}.j2"
            try:
                source, _, _ = loader.get_source(environment, name)
                template = self._templates[role] = environment.get_template(name)
                # They are copied for each rendering, which takes longer as long as they are layers.
                template.globals = dict(template.globals)
            except jinja2.TemplateNotFound as error:
                raise UsageError(
                    f"prompt {name} is missing in {folder}",
                    hint="A prompts folder holds planner.j2, user.j2, assistant.j2 and tool.j2.",
                ) from error
            except jinja2.TemplateSyntaxError as error:
                place = name if folder is None else f"{folder}/{name}"
                raise UsageError(
                    f"prompt {place}:{error.lineno}: {error.message}",
                    hint="It is a Jinja template; the shipped ones show the form.",
                ) from error
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"prompt {name if folder is None else f'{folder}/{name}'} cannot be read: {error}",
                    hint="It has to be a text file in UTF-8.",
                ) from error
            self.sources[role] = source
            self.hashes[role] = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()

    def render(self, role: PromptRole, block: str, **values: Any) -> str:
        """One block of a role's template as text, without surrounding white space.

        A block that is given no values is rendered once.

        Raises:
            UsageError: The template lacks the block, or names a value that is not there.
        """
        text = None if values else self._constant.get((role, block))
        if text is None:
            text = self._render(role, block, values)
            if not values:
                self._constant[role, block] = text
        return text

    def _render(self, role: PromptRole, block: str, values: dict[str, Any]) -> str:
        template = self._templates[role]
        if block not in template.blocks:
            raise UsageError(f"prompt {role}.j2 has no block {block!r}", hint=_LIKE_SHIPPED)
        try:
            return "".join(template.blocks[block](template.new_context(values))).strip()
        except Exception as error:  # a template may divide by zero, too
            what = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            raise UsageError(f"prompt {role}.j2, block {block}: {what}", hint=_LIKE_SHIPPED) from error


class _Sandbox(ImmutableSandboxedEnvironment):
    """Remembers which attributes were found safe: that depends on the object's type and on the name alone."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._safe: set[tuple[type, str]] = set()

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        pair = (type(obj), attr)
        if pair in self._safe:
            return True
        safe = super().is_safe_attribute(obj, attr, value)
        if safe and len(self._safe) < _MOST_REMEMBERED:
            self._safe.add(pair)
        return safe


@cache
def shipped_prompts() -> Prompts:
    """The prompts that ship with the package."""
    return Prompts()
