"""Many cameras at once: all down at the start, and all back at the same moment."""

import time
from pathlib import Path

import pytest

from tests.faults.camera import Answer, Camera, Request, Session, describe, serve
from tests.models.small import write_small
from tests.serving import config, free_port, serving, stream

_CAMERAS = 30
_AT_ONCE = 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    write_small(path)
    return path


def test_thirty_cameras_that_are_there_at_once_are_opened_a_few_at_a_time(
    tmp_path: Path, model: Path
) -> None:
    def slowly(session: Session, request: Request) -> Answer:
        session.wait(0.1)
        return describe(Camera(), request)

    cameras = {f"cam{i}": Camera(answers={"DESCRIBE": slowly}) for i in range(_CAMERAS)}
    with serve(cameras) as server:
        tables = "".join(stream(name, server.url(name)) for name in cameras)
        limits = f"[capture]\nmax_opening = {_AT_ONCE}\n"
        with serving(config(tmp_path, tables, model=model, more=limits)) as served:
            for name in cameras:
                if "up" not in served.of(name).states:
                    served.until_state(name, "up")
            assert served.terminate() == 0
        assert set(server.connections.values()) == {1}
        assert 1 < server.most_opening <= _AT_ONCE


def test_one_that_blinks_does_not_queue_behind_the_dead(tmp_path: Path, model: Path) -> None:
    dead = {f"dead{i}": Camera(greet=Session.wait) for i in range(12)}
    with serve({"blinks": Camera(), **dead}) as server:
        tables = "".join(stream(name, server.url(name)) for name in ["blinks", *dead])
        limits = "[capture]\nmax_opening = 1\nopen_timeout_s = 0.5\nbackoff_max_s = 0.5\n"
        with serving(config(tmp_path, tables, model=model, more=limits)) as served:
            served.until_state("blinks", "up")
            for name in dead:  # each has held the one turn for its half second, twice
                while served.until_state(name, "backoff").attempt < 2:
                    pass
            asked_s = time.monotonic()
            server.disconnect("blinks")
            served.until_state("blinks", "backoff")
            served.until_state("blinks", "warming_up")
            # Behind one at most, and not behind twelve, which would take six seconds.
            assert time.monotonic() - asked_s < 5
            assert served.terminate() == 0


def test_all_cameras_down_is_a_normal_start(tmp_path: Path, model: Path) -> None:
    names = ["front", "back", "yard"]
    tables = "".join(stream(name, f"rtsp://127.0.0.1:{free_port()}/1") for name in names)
    with serving(config(tmp_path, tables, model=model)) as served:
        served.wait_ready()
        for name in names:
            assert served.until_state(name, "backoff").reason == "unreachable"
        assert served.get("/healthz") == "ok\n"
        assert served.terminate() == 0
