"""Catalogues from the web. Imported only when an address is given."""

from __future__ import annotations

import httpx

from toolflow.errors import CatalogueError

_TIMEOUT_SECONDS = 30.0


def fetch(url: str, *, label: str) -> bytes:
    """The body behind an http(s) address; redirects are followed.

    Args:
        url: The whole address, which may hold credentials.
        label: The address as messages may show it.

    Raises:
        CatalogueError: No connection, an HTTP error, or a web page instead of a file.
    """
    try:
        response = httpx.get(url, follow_redirects=True, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Only a transport error's text is known to be free of the address and what it may hold.
        reason = str(error) if isinstance(error, httpx.TransportError) else ""
        raise CatalogueError(
            f"{label}: cannot be fetched: {reason or type(error).__name__}",
            hint="Check the address and the network, or download the file and give its path.",
        ) from error
    if response.is_error:
        raise CatalogueError(
            f"{label}: cannot be fetched: HTTP {response.status_code} {response.reason_phrase}",
            hint="Check the address, or download the file and give its path.",
        )
    if _is_web_page(response):
        raise CatalogueError(
            f"{label}: is a web page, not a catalogue",
            hint="Give the address of the file itself (on a code host, the one behind “raw”).",
        )
    return response.content


def _is_web_page(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in {"text/html", "application/xhtml+xml"} or response.content.lstrip()[:1] == b"<"
