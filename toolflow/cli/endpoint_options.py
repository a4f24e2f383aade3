"""Options that say how endpoints are spoken to; the commands that call models share them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

_PANEL = "Models"


class ApiKind(StrEnum):
    """What an endpoint speaks."""

    openai = "openai"
    anthropic = "anthropic"


Api = Annotated[
    ApiKind | None,
    typer.Option(
        help="OpenAI's chat completions, or Anthropic's Messages API.",
        show_default="openai; anthropic for its own address and key",
        rich_help_panel=_PANEL,
    ),
]
Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream", help="Have answers sent in pieces: the live view shows them grow.", rich_help_panel=_PANEL
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'NAME: VALUE'",
        help="Sent with every request, for gateways; may be repeated. Values are kept secret.",
        rich_help_panel=_PANEL,
    ),
]
CaBundle = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="PEM file of authorities to trust beside the system's; SSL_CERT_FILE is heeded too.",
        rich_help_panel=_PANEL,
    ),
]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="Do not check certificates. Anybody may listen.", rich_help_panel=_PANEL),
]


def endpoint_flags(
    api: ApiKind | None, header: list[str] | None, ca_bundle: str | None, insecure: bool | None
) -> dict[str, Any]:
    """These options as flags of :func:`toolflow.config.load_config`.

    Raises:
        UsageError: A header is none.
    """
    return {
        "api": api.value if api else None,
        "headers": read_headers(header),
        "ca_bundle": ca_bundle,
        "insecure": insecure,
    }


def read_headers(lines: list[str] | None) -> dict[str, str] | None:
    """``Name: value`` lines as a mapping; None for none.

    Raises:
        UsageError: A line is no header; it is not shown, for it may be a secret.
    """
    from toolflow.errors import UsageError

    if not lines:
        return None
    headers: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not name.strip().replace("-", "").replace("_", "").isalnum():
            raise UsageError(
                f"--header number {number} is no header", hint="Write --header 'X-Team: research'."
            )
        headers[name.strip()] = value.strip()
    return headers
