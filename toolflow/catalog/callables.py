"""Tools of Python callables: schemas of the type hints, descriptions of the docstring."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial, reduce
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import JsonSchemaMode

from toolflow.catalog.docstrings import parse_docstring
from toolflow.catalog.entry import EntryError
from toolflow.catalog.native_schema import JSON_WORDS, to_json_schema
from toolflow.catalog.openapi_schema import SchemaReader
from toolflow.catalog.tool import Tool
from toolflow.catalog.validate import tool_from
from toolflow.errors import CatalogueError, UsageError
from toolflow.text import one_line

_TYPE_ERRORS = (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def tool_from_callable(
    function: Callable[..., Any], *, name: str | None = None, description: str | None = None
) -> Tool:
    """Make a tool of a function, a method or any other callable with a signature.

    Type hints become JSON Schema through pydantic (``Optional``, ``Literal``, ``Annotated``, ``Enum``,
    dataclasses, ``TypedDict``, models); a parameter without one takes anything. ``self``, ``cls``, ``*args``
    and ``**kwargs`` are no parameters of the tool. Descriptions come from ``Annotated[…, "text"]``, ``Field``
    or the docstring.

    Args:
        function: The callable.
        name: The tool's name; the callable's own if None.
        description: What it does; the docstring's text if None.

    Raises:
        CatalogueError: It has no signature, a hint names something unknown, or a type has no JSON Schema.
    """
    spoken = _spoken(function)
    label = name or (type(function).__name__ if spoken.__name__ == "__call__" else spoken.__name__)
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(spoken.__init__ if inspect.isclass(spoken) else spoken, include_extras=True)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise CatalogueError(
            f"{label}: its signature cannot be read: {one_line(str(error), 200)}",
            hint="Give parameters type hints that can be resolved where the function is defined.",
        ) from error
    documented = parse_docstring(inspect.getdoc(spoken))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind in _VARIADIC or parameter.name in {"self", "cls"}:
            continue
        where = f"{label}: parameter {parameter.name!r}"
        schema = _schema(hints.get(parameter.name, Any), where, "validation")
        text = documented.parameters.get(parameter.name)
        schema = ({"description": text} if text else {}) | schema
        if parameter.default is inspect.Parameter.empty:
            required.append(parameter.name)
        else:
            schema |= _default(parameter.default)
        properties[parameter.name] = schema
    module = spoken.__module__
    parameters = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    fields = {
        "name": label,
        "description": documented.description if description is None else description,
        "parameters": parameters,
        "returns": _returns(hints, label, documented.returns),
        "source": module,
        "source_id": f"{module}:{spoken.__qualname__}" if module else None,
    }
    try:
        return tool_from(fields)
    except EntryError as error:
        raise CatalogueError(f"{label}: {error.field}: {error.message}") from error


def tools_from_python(target: str) -> list[Tool]:
    """Tools of ``module:function`` or, of a whole ``module``, of its public functions.

    Public is what ``__all__`` names, or else each function that the module itself defines and that has no
    leading underscore. The module is imported, so its code runs; the current folder is searched first.

    Raises:
        UsageError: There is no such module or function, or the module fails on import.
        CatalogueError: A function cannot become a tool, or none is public.
    """
    path, _, attribute = target.partition(":")
    module = _imported(path)
    if not attribute:
        tools = [tool_from_callable(function) for function in _public(module)]
        if not tools:
            raise CatalogueError(
                f"{path}: the module has no public function", hint="Name one: module:function."
            )
        return tools
    try:
        function = reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        raise UsageError(
            f"{path} has no {attribute!r}", hint="Name a function as module:function."
        ) from error
    if not callable(function):
        raise UsageError(f"{target} is no function", hint="Name a function as module:function.")
    return [tool_from_callable(function)]


def _imported(path: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(path)
    except Exception as error:
        reason = one_line(f"{type(error).__name__}: {error}", 300)
        raise UsageError(
            f"the module {path!r} cannot be imported: {reason}",
            hint="Give module or module:function, from the folder in which the module lies.",
        ) from error


def _public(module: ModuleType) -> list[Callable[..., Any]]:
    named = getattr(module, "__all__", None)
    if named is not None:
        members = [getattr(module, name, None) for name in named]
        return [member for member in members if inspect.isroutine(member)]
    return [
        member
        for name, member in vars(module).items()
        if inspect.isfunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    ]


def _spoken(function: Callable[..., Any]) -> Any:
    """The function or class that bears the name, the hints and the docstring of a callable."""
    if isinstance(function, partial):
        return _spoken(function.func)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _returns(hints: Mapping[str, Any], label: str, text: str) -> dict[str, Any] | None:
    hint = hints.get("return")
    if hint is None or hint is type(None) or hint is Any:
        return None
    schema = _schema(hint, f"{label}: the result", "serialization")
    return ({"description": text} if text else {}) | schema if schema else None


def _schema(hint: Any, where: str, mode: JsonSchemaMode) -> dict[str, Any]:
    try:
        schema = TypeAdapter(hint).json_schema(mode=mode)
    except _TYPE_ERRORS as error:
        reason = one_line(str(error).partition("\n")[0], 300)
        raise CatalogueError(
            f"{where}: the type has no JSON Schema: {reason}",
            hint="Use types that JSON can carry, or leave the hint out.",
        ) from error
    read: dict[str, Any] = to_json_schema(
        SchemaReader(schema).read(schema) if "$defs" in schema else schema, JSON_WORDS
    )
    read.pop("title", None)
    notes = (
        [note for note in get_args(hint)[1:] if isinstance(note, str)]
        if get_origin(hint) is Annotated
        else []
    )
    return read | ({"description": notes[0]} if notes else {})


def _default(value: Any) -> dict[str, Any]:
    """The default, if JSON can carry it; None mostly says that there is none."""
    if value is None:
        return {}
    try:
        return {"default": TypeAdapter(type(value)).dump_python(value, mode="json")}
    except (*_TYPE_ERRORS, ValueError, TypeError):
        return {}
