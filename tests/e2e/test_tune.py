"""The recommended concurrency, against the rehearsal server in a process of its own."""

from __future__ import annotations

import json

from tests.e2e.commands import Command, Start
from tests.e2e.runs import serve


def test_a_concurrency_near_the_knee_is_recommended(start: Start, command: Command) -> None:
    server = serve(start, "--latency", 0.05, "--knee", 8)
    tune = ["tune", "--model", "rehearsal", "--base-url", server.url, "--max-calls", 400]
    done = command(*tune, "--levels", "4,8,16", "--json")
    assert done.returncode == 0, done.stderr
    assert "at most 400 calls" in done.stderr
    facts = json.loads(done.stdout)
    measured = facts["levels"]
    assert measured[0]["concurrency"] == 4
    assert sum(level["failed"] + level["rate_limited"] for level in measured) == 0
    # The knee is at 8; how far the machine gets towards it is its own affair.
    assert facts["recommendation"] in {4, 8}
    sent = server.count("requests")
    assert sum(level["calls"] for level in measured) <= sent <= 405  # and the few that probe the endpoint
    too_few = command(*tune, "--levels", "500")
    assert too_few.returncode == 2
    assert "--max-calls 400" in too_few.stderr
    shown = command(*tune, "--levels", "8")
    assert "Recommended: --max-concurrency" in shown.stdout
    refused = command("tune", "--model", "rehearsal")
    assert refused.returncode == 2
    assert "in process" in refused.stderr
