"""What tests of every level share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Nothing is timed in tests: these machines are noisy.
# CI tries the same examples each time; everybody else tries new ones.
settings.register_profile(
    "toolflow", derandomize="CI" in os.environ, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("toolflow")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test asks the user's endpoints, or reads or fills the user's cache of graphs and embeddings."""
    with pytest.MonkeyPatch.context() as patch:
        for owner in ("OPENAI", "ANTHROPIC"):
            patch.delenv(f"{owner}_API_KEY", raising=False)
            patch.delenv(f"{owner}_BASE_URL", raising=False)
        patch.setenv("TOOLFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that lies beside some checkouts; tests that need it are skipped without it."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not here")
    return folder
