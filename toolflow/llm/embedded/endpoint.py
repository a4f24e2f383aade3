"""A small real model beside this process: a GGUF file, served by llama.cpp on a loopback port."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from toolflow.errors import ToolFlowError, UsageError

_MAGIC = b"GGUF"
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_LOG_ERROR = re.compile(r"^[\d.]+ E \s*(?P<text>.*)")


@dataclass(frozen=True, slots=True)
class EmbeddedEndpoint:
    """A running server.

    Attributes:
        base_url: What ``/chat/completions`` is appended to.
        model: The name under which it lists the model.
        slots: Requests that it answers at once; further ones wait there.
        native_tool_calls: Whether the model's chat template knows tools. Where it does not, llama.cpp drops
            ``tools`` and earlier calls from the prompt without a word.
    """

    base_url: str
    model: str
    slots: int
    native_tool_calls: bool


@asynccontextmanager
async def embedded_endpoint(
    path: Path,
    *,
    name: str | None = None,
    slots: int = 4,
    context_per_slot: int = 4096,
    start_timeout: float = 120.0,
) -> AsyncGenerator[EmbeddedEndpoint]:
    """Serve a model file for as long as the context lasts.

    The server is a child process, so native code cannot take this one down and Ctrl-C does not reach it.

    Args:
        path: The GGUF file.
        name: What the server calls the model; None for the file's name without its ending.
        slots: Requests answered at once. Each reserves the memory of a whole context.
        context_per_slot: LLM tokens of one request, prompt and completion together.
        start_timeout: Seconds for loading the model.

    Raises:
        UsageError: The extra is not installed, or the file is no model that llama.cpp can load.
        ToolFlowError: The server is not ready in time, or died before the context ended.
    """
    _check_file(path)
    if importlib.util.find_spec("xllamacpp") is None:
        raise UsageError(
            f"the model {path} needs llama.cpp, which is not installed",
            hint="Run: pip install 'toolflow-synth[embedded]'",
        )
    model = name or path.stem
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "toolflow.llm.embedded.llama_server"),
            *(str(path), model, str(slots), str(context_per_slot)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a terminal's Ctrl-C goes to this process alone
        )
        try:
            address, properties = await _started(process, log, path, start_timeout)
            knows_tools = bool(properties.get("chat_template_caps", {}).get("supports_tool_calls"))
            yield EmbeddedEndpoint(f"{address}/v1", model, slots, knows_tools)
            returncode = await _end(process)
            if returncode != 0:
                raise ToolFlowError(
                    f"llama.cpp's server of {path} ended during the run ({_describe(returncode)}): "
                    f"{_log_lines(log)[-1]}",
                    hint="The same command again continues the run; fewer slots need less memory.",
                )
        finally:
            # Whatever cut the body short, nothing is left behind; the server has nothing to save.
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _end(process: asyncio.subprocess.Process) -> int:
    """Ask the server to end; gives its exit code, which is 0 unless it ended by itself before."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            return await process.wait()
    except TimeoutError:
        return 0


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise UsageError(f"the model file {path} cannot be read: {error.strerror or error}") from error
    if magic != _MAGIC:
        raise UsageError(
            f"{path} is no GGUF file",
            hint="llama.cpp loads GGUF files alone; they begin with the letters GGUF.",
        )


async def _started(
    process: asyncio.subprocess.Process, log: IO[bytes], path: Path, seconds: float
) -> tuple[str, Mapping[str, Any]]:
    """The server's address and what it says of itself, once it is ready."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            address = (await process.stdout.readline()).decode().strip()
            properties = await _properties(process, address) if address else None
            if properties is not None:
                return address, properties
            returncode = await process.wait()
    except TimeoutError:
        raise ToolFlowError(
            f"llama.cpp did not load {path} within {seconds:g} seconds",
            hint="Take a smaller model, or free the machine.",
        ) from None
    lines = _log_lines(log)
    # The error that llama.cpp reports first is the cause, what follows are its consequences.
    cause = next((match["text"] for line in lines if (match := _LOG_ERROR.match(line))), lines[-1])
    raise UsageError(
        f"llama.cpp cannot serve {path} ({_describe(returncode)}): {cause}",
        hint="Is the file whole, of a kind that this llama.cpp knows, and small enough for the memory?",
    )


async def _properties(process: asyncio.subprocess.Process, address: str) -> Mapping[str, Any] | None:
    """Wait until the server is ready; None if it ends instead."""
    # A proxy that the environment names has no business on loopback.
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        while process.returncode is None:
            with suppress(httpx.TransportError):
                if (await client.get("/health")).is_success:
                    return dict((await client.get("/props")).json())
            await asyncio.sleep(_POLL_SECONDS)
    return None


def _log_lines(log: IO[bytes]) -> list[str]:
    """What the ended server wrote; never empty."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    return [line for line in lines if line] or ["it did not say why"]


def _describe(returncode: int) -> str:
    return signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
