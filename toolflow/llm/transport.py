"""The way to an endpoint: through which proxy, and whose certificates are trusted."""

from __future__ import annotations

import ssl
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from toolflow.errors import UsageError


def proxy_of(base_url: str) -> str | None:
    """The proxy that ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name for a URL.

    What is on this machine needs none. ``NO_PROXY`` may hold hosts, domains, ``host:port``, addresses, and
    networks such as ``10.0.0.0/8``.

    Raises:
        UsageError: It is of a kind that is not supported.
    """
    url = urlsplit(base_url)
    host = url.hostname or ""
    proxies = getproxies()
    if _is_loopback(host) or _bypassed(host, url.port, proxies.get("no", "")):
        return None
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None:
        return None
    scheme = proxy.partition("://")[0].lower() if "://" in proxy else "http"
    if scheme not in {"http", "https"}:
        raise UsageError(
            f"the proxy that the environment names for {base_url} is of the kind {scheme!r}",
            hint="Name an http:// proxy, or put the endpoint's host into NO_PROXY.",
        )
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    if proxy_bypass(host) or (port is not None and proxy_bypass(f"{host}:{port}")):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            if address in ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=8)
def trust(ca_bundle: str | None = None, *, insecure: bool = False) -> ssl.SSLContext:
    """Whom to trust: the system's authorities, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    Args:
        ca_bundle: A PEM file, or a folder of them, with more authorities.
        insecure: Trust everybody.

    Raises:
        UsageError: The bundle cannot be read.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        path = Path(ca_bundle)
        try:
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})
        except (OSError, ssl.SSLError) as error:  # ssl.SSLError is an OSError, and the other way round
            reason = "no PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise UsageError(
                f"the CA bundle {ca_bundle} cannot be used: {reason}",
                hint="Give a PEM file: it holds lines like -----BEGIN CERTIFICATE-----.",
            ) from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
