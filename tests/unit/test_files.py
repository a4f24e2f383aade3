from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolflow.files import write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_only_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"old")

    def content() -> Iterator[bytes]:
        yield b"new, "
        assert path.read_bytes() == b"old"
        yield b"whole"

    write_whole(path, content())
    assert path.read_bytes() == b"new, whole"
    assert names(tmp_path) == ["data"]


@pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"old")

    def content() -> Iterator[bytes]:
        yield b"new"
        raise error

    with pytest.raises(type(error)):
        write_whole(path, content())
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["data"]


def test_the_error_tells_of_the_file_and_not_of_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        write_whole(tmp_path / "file" / "data", [b"new"])
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "data", [b"new"])


def test_a_link_stays_and_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    path, target = tmp_path / "data", tmp_path / "disk" / "data"
    path.symlink_to(target)
    for content in (b"first", b"second"):
        write_whole(path, [content])
        assert path.is_symlink()
        assert target.read_bytes() == content


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    write_whole(path, [b"a", b"b"])
    reader.join()
    assert got == [b"ab"]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert names(tmp_path) == ["pipe"]
