"""Operations of OpenAPI documents become tools: their inputs as parameters, their answers as returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from toolflow.catalog.entry import EntryError
from toolflow.catalog.openapi_schema import SchemaReader, plain_text
from toolflow.catalog.results import schema_of_example

# The others (HEAD, OPTIONS, TRACE) give no result to speak of.
_METHODS = ("get", "put", "post", "delete", "patch")

# Set by the client that sends the call, as are headers that allow one value only.
_CLIENT_HEADERS = re.compile(
    r"accept(-.*)?|content-type|content-length|authorization|cookie|host|user-agent|x-amz-.*"
    r"|(x-)?(api|auth|access|session|csrf|xsrf|subscription)[-_]?(key|token|id)",
    re.IGNORECASE,
)
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9]+")
_BARE = {"type", "description"}
_SUCCESS = re.compile(r"2(\d\d|XX)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as a document declares it, not read yet.

    Attributes:
        path: Its path, such as ``/pets/{id}``.
        place: Method and path, such as ``GET /pets/{id}``: the operation's identifier in its document.
        build: Gives the tool in the canonical shape, without its origin, or raises ``EntryError``.
    """

    path: str
    place: str
    build: Callable[[], dict[str, Any]]


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """The operations of an OpenAPI 2.0, 3.0 or 3.1 document, in its order.

    Raises:
        EntryError: The version is another, there are no ``paths``, or a path refers outside the document.
    """
    version = str(document.get("openapi", document.get("swagger")))
    if not version.startswith(("2.", "3.")):
        raise EntryError(f"version {version!r} is not read, only 2.0 and 3.x", field="openapi")
    paths = document.get("paths", {})
    if not isinstance(paths, dict):
        raise EntryError("must be an object", field="paths")
    reader = _OperationReader(document)
    for path, declared in paths.items():
        item = reader.resolve(declared)
        for method in _METHODS:
            if isinstance(item, dict) and method in item:
                build = partial(reader.tool, path, method, item[method], item.get("parameters"))
                yield Operation(path, f"{method.upper()} {path}", build)


class _OperationReader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._requests = SchemaReader(document, hidden="readOnly")
        self._answers = SchemaReader(document, hidden="writeOnly")

    def resolve(self, value: Any) -> Any:
        return self._requests.resolve(value)

    def tool(self, path: str, method: str, operation: Any, shared: Any) -> dict[str, Any]:
        """The operation as a tool; ``shared`` are the parameters of all operations of its path."""
        if not isinstance(operation, dict):
            raise EntryError("an operation must be an object", field=f"paths.{path}.{method}")
        name = _name(path, method, operation)
        try:
            return {
                "name": name,
                "description": _description(operation),
                "parameters": self._parameters(operation, shared),
                "returns": self._returns(operation),
            }
        except EntryError as error:
            error.tool = name
            error.field = f"paths.{path}.{method}" + (f".{error.field}" if error.field else "")
            raise

    def _parameters(self, operation: Mapping[str, Any], shared: Any) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required: set[str] = set()
        declared = [*self._declared(shared), *self._declared(operation.get("parameters"))]
        body = self._requests.resolve(operation.get("requestBody"))
        # An operation's own parameter takes the place of the path's of the same name and location.
        for parameter in {(each["name"], each["in"]): each for each in declared}.values():
            if parameter["in"] == "body":
                body = parameter
            elif _is_callers(parameter):
                properties.setdefault(parameter["name"], self._parameter(parameter))
                required |= {parameter["name"]} if _is_needed(parameter) else set()
        if isinstance(body, dict):
            fields, needed = self._body(body)
            # A field that the path or the query gives already is the same value told twice.
            properties |= {name: each for name, each in fields.items() if name not in properties}
            required |= needed
        schema = {"type": "object", "properties": properties}
        return schema | ({"required": [name for name in properties if name in required]} if required else {})

    def _declared(self, parameters: Any) -> Iterator[dict[str, Any]]:
        if parameters is None:
            return
        if not isinstance(parameters, list):
            raise EntryError("must be a list", field="parameters")
        for each in parameters:
            parameter = self._requests.resolve(each)
            if not isinstance(parameter, dict) or not all(
                isinstance(parameter.get(key), str) for key in ("name", "in")
            ):
                raise EntryError("a parameter must be an object with 'name' and 'in'", field="parameters")
            yield parameter

    def _parameter(self, parameter: Mapping[str, Any]) -> dict[str, Any]:
        schema = parameter.get("schema")
        if schema is None and "content" in parameter:
            schema = _media(parameter["content"]).get("schema")
        # OpenAPI 2 declares type, items and so on beside the name.
        read = dict(self._requests.read(parameter if schema is None else schema))
        if text := plain_text(parameter.get("description")):
            read["description"] = text
        return read | {"x-in": "body" if parameter["in"] == "formData" else parameter["in"]}

    def _body(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """The fields of a request body and those that are required; one field ``body`` if it has none."""
        read = self._requests.read(_media(body.get("content")).get("schema", body.get("schema")))
        if "properties" in read and "oneOf" not in read and "anyOf" not in read:
            fields = {name: each | {"x-in": "body"} for name, each in read["properties"].items()}
            return fields, set(read.get("required", ()))
        if not read:
            return {}, set()
        if text := plain_text(body.get("description")):
            read = {"description": text} | read
        return {"body": read | {"x-in": "body"}}, {"body"} if body.get("required") is True else set()

    def _returns(self, operation: Mapping[str, Any]) -> dict[str, Any] | None:
        responses = operation.get("responses")
        if not isinstance(responses, dict):
            return None
        codes = sorted(code for code in responses if _SUCCESS.fullmatch(code))
        for code in (*codes, "default"):
            response = self._answers.resolve(responses.get(code))
            schema = self._answer(response) if isinstance(response, dict) else {}
            # A bare object tells no more than no schema at all.
            if schema.get("type", "object") != "object" or any(map(schema.get, schema.keys() - _BARE)):
                return schema
        return None

    def _answer(self, response: Mapping[str, Any]) -> dict[str, Any]:
        media = _media(response.get("content"))
        schema = self._answers.read(media.get("schema", response.get("schema")))
        if schema:
            return schema
        examples = response.get("examples")
        example = media.get("example", _media(examples) if isinstance(examples, dict) else None)
        return schema_of_example(example) if example else {}


def _name(path: str, method: str, operation: Mapping[str, Any]) -> str:
    name = operation.get("operationId")
    if isinstance(name, str) and name.strip():
        return name.strip()
    return _NOT_IN_NAME.sub("_", f"{method}_{path}".lower()).strip("_")


def _description(operation: Mapping[str, Any]) -> str:
    summary, description = (plain_text(operation.get(key)) for key in ("summary", "description"))
    if not summary or description.startswith(summary):
        return description
    if not description:
        return summary
    return f"{summary.rstrip('.')}. {description}"


def _media(content: Any) -> dict[str, Any]:
    """The body's description for the best media type: JSON, then a form, then the first."""
    if not isinstance(content, dict):
        return {}
    media = {kind: each for kind, each in content.items() if isinstance(each, dict)}
    return media[min(media, key=_media_rank)] if media else {}


def _media_rank(kind: str) -> int:
    kind = kind.partition(";")[0].strip().lower()
    if kind == "application/json":
        return 0
    return 1 if kind.endswith("json") else 2 if "form" in kind else 3


def _is_callers(parameter: Mapping[str, Any]) -> bool:
    """Whether the caller of a tool gives it: not what the client adds by itself, such as credentials."""
    if parameter["in"] == "header":
        schema = parameter.get("schema")
        values = schema.get("enum") if isinstance(schema, dict) else parameter.get("enum")
        constant = isinstance(values, list) and len(values) == 1
        return not constant and not _CLIENT_HEADERS.fullmatch(parameter["name"])
    return parameter["in"] in {"path", "query", "formData"}


def _is_needed(parameter: Mapping[str, Any]) -> bool:
    return parameter.get("required") is True or parameter["in"] == "path"
