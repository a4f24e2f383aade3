"""Which model answers, where it is, and how to get in there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolflow.cli.options.panels import ACCESS, MODELS
from toolflow.errors import UsageError

if TYPE_CHECKING:
    from toolflow.llm.endpoint import Access


class ApiKind(StrEnum):
    """What an endpoint speaks."""

    openai = "openai"
    anthropic = "anthropic"


@dataclass(frozen=True, slots=True)
class Models:
    """Which model answers, and where it is."""

    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='Model at the endpoint; a GGUF file, or a name of "toolflow model list", to run on this '
            "machine; or 'rehearsal', which needs nothing.",
            show_default="the only one there is; rehearsal without any endpoint",
            rich_help_panel=MODELS,
        ),
    ] = None
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Endpoint, usually ending in /v1; may be repeated for replicas of one model.",
            show_default="OPENAI_BASE_URL, or ANTHROPIC_BASE_URL for claude models",
            rich_help_panel=MODELS,
        ),
    ] = None
    api: Annotated[
        ApiKind | None,
        typer.Option(
            help="What is spoken there: OpenAI's chat completions, or Anthropic's Messages API.",
            show_default="openai; anthropic for its own address and key",
            rich_help_panel=MODELS,
        ),
    ] = None

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`."""
        return {
            "model": self.model,
            "base_url": tuple(self.base_url) if self.base_url else None,
            "api": self.api.value if self.api else None,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """How to get in at endpoints."""

    api_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="Environment variable that holds the key.",
            show_default="OPENAI_API_KEY, or ANTHROPIC_API_KEY",
            rich_help_panel=ACCESS,
        ),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'",
            help="Sent with every request, for gateways; may be repeated. Values are kept secret.",
            rich_help_panel=ACCESS,
        ),
    ] = None
    ca_bundle: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="PEM file, or folder, of authorities to trust beside the system's. SSL_CERT_FILE and "
            "SSL_CERT_DIR are heeded, too.",
            rich_help_panel=ACCESS,
        ),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Do not check certificates: whoever sits in between can read key and prompts.",
            rich_help_panel=ACCESS,
        ),
    ] = False

    def flags(self) -> dict[str, Any]:
        """These options as flags of :func:`toolflow.config.load_config`.

        Raises:
            UsageError: A header is none.
        """
        return {
            "api_key_env": self.api_key_env,
            "headers": self._headers() or None,
            "ca_bundle": self.ca_bundle,
            "insecure": self.insecure or None,
        }

    def access(self) -> Access:
        """The same where no configuration is made of it.

        Raises:
            UsageError: A header is none.
        """
        from toolflow.llm.endpoint import Access

        return Access(self.api_key_env, self._headers(), self.ca_bundle, self.insecure)

    @property
    def given(self) -> bool:
        """Whether any of them is."""
        return any((self.api_key_env, self.header, self.ca_bundle, self.insecure))

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for number, line in enumerate(self.header or (), 1):
            name, colon, value = line.partition(":")
            if not colon or not name.strip() or not name.strip().replace("-", "").replace("_", "").isalnum():
                # The line is not shown, for it may be a secret.
                raise UsageError(
                    f"--header number {number} is no header", hint="Write --header 'X-Team: research'."
                )
            headers[name.strip()] = value.strip()
        return headers
