"""``toolflow provider``: the rehearsal model behind a URL, from start to Ctrl-C."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys

import pytest

from toolflow.llm.endpoint import Endpoint
from toolflow.llm.probe import EndpointFacts, probe_endpoint, probe_tool_calls

COMMAND = [sys.executable, "-c", "from toolflow.cli import main; main()", "provider"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_rehearsal_model_is_served_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    command = [*COMMAND, "--port", "0", "--mistakes", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        announced = re.search(r"http://127\.0\.0\.1:\d+/v1", process.stdout.readline())
        assert announced is not None
        endpoint = Endpoint(announced[0])
        assert asyncio.run(probe_endpoint(endpoint)) == EndpointFacts("rehearsal", ("rehearsal",))
        assert asyncio.run(probe_tool_calls(endpoint, "rehearsal"))
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0


def test_a_port_in_use_is_an_error_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in ended.stderr
    assert "Traceback" not in ended.stderr
