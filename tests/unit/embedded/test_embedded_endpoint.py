"""The server's life as a child process; a stand-in takes llama.cpp's place."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from toolflow.errors import ToolFlowError, UsageError
from toolflow.llm.embedded.endpoint import EmbeddedEndpoint, embedded_endpoint

StandIn = Callable[[str], Path]


async def facts(endpoint: EmbeddedEndpoint) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return dict((await client.get(endpoint.base_url + "/facts")).json())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_serves_while_the_context_lasts_and_no_longer(stand_in: StandIn) -> None:
    async def main() -> int:
        async with embedded_endpoint(stand_in("serves"), slots=3, context_per_slot=100) as endpoint:
            said = await facts(endpoint)
        assert endpoint.model == "little"
        assert endpoint.slots == 3
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        assert endpoint.base_url.endswith("/v1")
        assert said["name"] == ["little"]
        assert (said["slots"], said["context"], said["hosts"]) == (3, 300, ["127.0.0.1"])
        assert said["waiting"] == "passive"
        return int(said["pid"])

    assert not is_alive(asyncio.run(main()))


def test_the_name_can_be_chosen(stand_in: StandIn) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in("serves"), name="smollm2") as endpoint:
            assert (await facts(endpoint))["name"] == [endpoint.model] == ["smollm2"]

    asyncio.run(main())


@pytest.mark.parametrize(("behaviour", "native"), [("serves", False), ("serves, knows tools", True)])
def test_tells_whether_the_chat_template_knows_tools(stand_in: StandIn, behaviour: str, native: bool) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in(behaviour)) as endpoint:
            assert endpoint.native_tool_calls is native

    asyncio.run(main())


def test_the_users_own_thread_settings_hold(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")

    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")) as endpoint:
            assert (await facts(endpoint))["waiting"] == "active"

    asyncio.run(main())


def test_a_proxy_of_the_environment_is_not_asked(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")) as endpoint:
            assert await facts(endpoint)

    asyncio.run(main())


def test_the_bodys_own_error_comes_out_as_it_is(stand_in: StandIn) -> None:
    pids: list[int] = []

    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")) as endpoint:
            pids.append((await facts(endpoint))["pid"])
            raise LookupError("of the body")

    with pytest.raises(LookupError, match="of the body"):
        asyncio.run(main())
    assert not is_alive(pids[0])


def test_goes_when_the_run_is_cancelled(stand_in: StandIn) -> None:
    async def main() -> int:
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            async with embedded_endpoint(stand_in("serves")) as endpoint:
                started.set_result((await facts(endpoint))["pid"])
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        pid = await started
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    assert not is_alive(asyncio.run(main()))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_is_for_the_parent_alone(stand_in: StandIn) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")) as endpoint:
            pid = (await facts(endpoint))["pid"]
            assert os.getpgid(pid) != os.getpgid(0)
            os.kill(pid, signal.SIGINT)
            assert (await facts(endpoint))["pid"] == pid

    asyncio.run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_goes_with_a_parent_that_is_killed(stand_in: StandIn) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from toolflow.llm.embedded.endpoint import embedded_endpoint\n"
        "async def main():\n"
        "    async with embedded_endpoint(Path(sys.argv[1])) as endpoint:\n"
        "        print(endpoint.base_url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(stand_in("serves"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = httpx.URL(parent.stdout.readline().strip())
        with socket.create_connection((url.host, url.port or 0), timeout=60) as connection:
            parent.kill()
            # An open connection ends when the process behind it does.
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_a_server_that_dies_during_the_run_is_told(stand_in: StandIn) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")) as endpoint, httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(endpoint.base_url.removesuffix("/v1") + "/die")

    with pytest.raises(ToolFlowError, match=r"during the run \(SIGKILL\): the stand-in was told to die"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [("broken", r"exit code 1\): loader: no key-value pairs"), ("crashes", r"SIGKILL\)")],
)
def test_a_file_that_cannot_be_served_is_told_with_the_first_cause(
    stand_in: StandIn, behaviour: str, words: str
) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in(behaviour)):
            pytest.fail("it cannot be served")

    with pytest.raises(UsageError, match=words) as caught:
        asyncio.run(main())
    assert "little.gguf" in caught.value.message


def test_a_server_that_is_never_ready_is_given_up(stand_in: StandIn) -> None:
    async def main() -> None:
        async with embedded_endpoint(stand_in("hangs"), start_timeout=0.01):
            pytest.fail("it is never ready")

    with pytest.raises(ToolFlowError, match=r"within 0\.01 seconds"):
        asyncio.run(main())


def test_a_file_of_another_kind_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"PK\x03\x04")

    async def main(path: Path) -> None:
        async with embedded_endpoint(path):
            pytest.fail("it is no GGUF file")

    with pytest.raises(UsageError, match=r"weights\.gguf is no GGUF file"):
        asyncio.run(main(path))
    with pytest.raises(UsageError, match=r"gone\.gguf cannot be read"):
        asyncio.run(main(tmp_path / "gone.gguf"))


def test_a_missing_extra_is_told_with_the_command(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    async def main() -> None:
        async with embedded_endpoint(stand_in("serves")):
            pytest.fail("the extra is missing")

    with pytest.raises(UsageError, match="not installed") as caught:
        asyncio.run(main())
    assert "toolflow-synth[embedded]" in (caught.value.hint or "")


def test_an_extra_that_does_not_import_is_told(stand_in: StandIn, tmp_path: Path) -> None:
    path = stand_in("serves")
    (tmp_path / "packages" / "xllamacpp.py").write_text("raise ImportError('a library is missing')")

    async def main() -> None:
        async with embedded_endpoint(path):
            pytest.fail("it does not import")

    with pytest.raises(UsageError, match="xllamacpp cannot be imported: a library is missing"):
        asyncio.run(main())
