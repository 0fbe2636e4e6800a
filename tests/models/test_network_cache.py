"""Converted networks lie on disk, whole or not at all; a disk that is no use costs only time."""

import os
from pathlib import Path

import pytest

from streamcls.models.backends.cache import NetworkCache, cache_folder

ORIGIN = ("openvino-f32", "5ab1e")


def test_what_was_written_is_read_under_the_same_origin_alone(tmp_path: Path) -> None:
    NetworkCache(tmp_path / "new" / "networks").write(b"bytes", ORIGIN)
    cache = NetworkCache(tmp_path / "new" / "networks")
    assert cache.read(ORIGIN) == b"bytes"
    assert cache.read((*ORIGIN, "another version")) is None


def test_nobody_else_may_read_or_write_there(tmp_path: Path) -> None:
    NetworkCache(tmp_path / "networks").write(b"bytes", ORIGIN)
    (file,) = (tmp_path / "networks").iterdir()
    assert (tmp_path / "networks").stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: b"x" + whole[1:], None])
def test_a_damaged_file_is_not_used_and_is_said(
    damage: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = NetworkCache(tmp_path)
    cache.write(b"some bytes", ORIGIN)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()) if callable(damage) else b"")
    assert cache.read(ORIGIN) is None
    assert "is damaged" in caplog.text
    cache.write(b"some bytes", ORIGIN)
    assert cache.read(ORIGIN) == b"some bytes"


def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = NetworkCache(tmp_path / "file" / "networks")
    cache.write(b"bytes", ORIGIN)
    assert "converted networks cannot be kept in" in caplog.text
    assert cache.read(ORIGIN) is None


def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    NetworkCache(tmp_path).write(b"bytes", ORIGIN)
    assert list(tmp_path.iterdir()) == []
    assert "No space left on device" in caplog.text


def test_what_was_used_last_is_kept(tmp_path: Path) -> None:
    cache = NetworkCache(tmp_path)
    for number in range(8):
        cache.write(b"bytes", (str(number),))
        for age, path in enumerate(sorted(tmp_path.iterdir(), key=lambda one: one.stat().st_mtime)):
            os.utime(path, (1000 + age, 1000 + age))
    assert cache.read(("0",))  # used again
    cache.write(b"bytes", ("8",))
    left = [number for number in range(9) if cache.read((str(number),))]
    assert left == [0, 2, 3, 4, 5, 6, 7, 8]


def test_another_users_folder_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = NetworkCache(tmp_path)
    cache.write(b"bytes", ORIGIN)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert cache.read(ORIGIN) is None
    assert "belongs to another user" in caplog.text


def test_the_folder_is_the_units_else_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/streamcls:/var/cache/more")
    assert cache_folder() == Path("/var/cache/streamcls/networks")
    monkeypatch.delenv("CACHE_DIRECTORY")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/x/.caches")
    assert cache_folder() == Path("/home/x/.caches/streamcls/networks")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == Path.home() / ".cache" / "streamcls" / "networks"
