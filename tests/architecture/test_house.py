"""What holds for the project as a whole: the wheel, the start-up, what is said of the command line."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked_files(*folders: str) -> list[str]:
    command = ["git", "ls-files", *folders]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tracked = tracked_files("toolflow", "agents", "prompts")
    expected = {
        path if path.startswith("toolflow/") else f"toolflow/{path}"
        for path in tracked
        if path not in {"toolflow/agents", "toolflow/prompts"}
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected


def test_starting_up_imports_nothing_heavy() -> None:
    heavy = ("aiohttp", "httpx", "jinja2", "networkx", "numpy", "pydantic", "wordllama", "yaml")
    code = f"import sys, toolflow.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_no_file_speaks_of_a_machine() -> None:
    absolute = re.compile(r"/(?:home|root|Users|work)/\w")
    guilty = [
        name
        for name in tracked_files()
        if (path := ROOT / name).is_file()
        and path.suffix in {".py", ".md", ".toml", ".j2", ".yaml", ""}
        and absolute.search(path.read_text("utf-8"))
    ]
    assert guilty == []


def test_the_readme_names_every_command() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("toolflow"), "--help"], check=True, capture_output=True, text=True
    )
    commands = re.findall(r"^│ (\w+) ", done.stdout.split("Commands")[1], re.MULTILINE)
    assert len(commands) >= 6
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in commands if f"toolflow {name}" not in readme] == []
