from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable

import pytest

from toolflow.catalog.mcp_client import http_source, stdio_source
from toolflow.errors import UsageError


@pytest.mark.parametrize("attempt", [stdio_source, http_source])
def test_without_the_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, attempt: Callable[[str], object]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="need the extra: mcp") as caught:
        attempt("http://localhost/mcp")
    assert "toolflow-synth[mcp]" in (caught.value.hint or "")


def test_the_sdk_is_imported_only_when_a_server_is_named() -> None:
    rooms = "toolflow.cli, toolflow.catalog.load, toolflow.catalog.mcp_client"
    code = f"import sys, {rooms}; print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
