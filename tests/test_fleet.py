"""Streams that come and go in one running daemon, while its network is slow."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.cli import _Signals
from streamcls.config import parse_settings
from streamcls.daemon import Daemon
from streamcls.events import Encoded, StatusData, parse_topic
from streamcls.frames import RgbClip
from streamcls.history import History
from streamcls.models.backends import TorchBackend
from tests.models.small import write_small
from tests.videos import write_video

PATIENCE_S = 40.0
ENDLESS = '[[streams]]\nid = "endless"\nurl = "clip.mp4"\nloop = true\n'
SHORT = '[[streams]]\nid = "short"\nurl = "clip.mp4"\npace = "fastest"\n'
AGAIN = SHORT.replace('pace = "fastest"', "loop = true")
REST = (
    '[model]\npath = "small.safetensors"\nbackend = "torch"\n[http]\nenabled = false\n'
    '[publish]\nendpoint = "tcp://127.0.0.1:*"\nreplay_endpoint = "tcp://127.0.0.1:*"\n'
)


class Running:
    """A daemon on a thread of its own, its file, and the statuses that it published."""

    def __init__(self, folder: Path, statuses: list[tuple[str, StatusData]]) -> None:
        self.path = folder / "streamcls.toml"
        self.statuses = statuses
        self.write(ENDLESS, SHORT)
        self.daemon = Daemon(parse_settings(self.path.read_text(), folder=folder), config=self.path)
        self.thread = threading.Thread(target=self.daemon.run)
        self.thread.start()

    def write(self, *tables: str) -> None:
        self.path.write_text("".join(tables) + REST)

    def states(self, stream: str) -> list[str]:
        return [
            f"{status.state} {status.reason}".strip()
            for name, status in self.statuses
            if name == stream
        ]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.statuses
            time.sleep(0.02)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    statuses: list[tuple[str, StatusData]] = []
    record, scores = History.record, TorchBackend.scores

    def keep(self: History, group: Sequence[Encoded]) -> None:
        statuses.extend(
            (parse_topic(one.topic)[0], one.payload)
            for one in group
            if isinstance(one.payload, StatusData) and not one.payload.heartbeat
        )
        record(self, group)

    def slow(self: TorchBackend, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        time.sleep(0.5)
        return scores(self, clips)

    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=60, fps=10, gop=10)
    monkeypatch.setattr(History, "record", keep)
    monkeypatch.setattr(TorchBackend, "scores", slow)
    one = Running(tmp_path, statuses)
    yield one
    one.daemon.stop()
    one.thread.join(PATIENCE_S)
    assert not one.thread.is_alive()


def test_one_that_is_added_again_at_once_is_never_said_to_be_removed_afterwards(
    running: Running,
) -> None:
    running.until(lambda: "stopped end_of_file" in running.states("short"))
    for tables in ((ENDLESS,), (ENDLESS, AGAIN)):
        done = sum(running.daemon._reloader.counts().results.values())
        running.write(*tables)
        running.daemon.reload()
        running.until(lambda: sum(running.daemon._reloader.counts().results.values()) > done)  # noqa: B023
    running.until(lambda: running.states("short")[-1] == "up")
    time.sleep(1.5)  # what was posted late would come now
    states = running.states("short")
    assert states[-4:] == ["stopped removed", "connecting", "warming_up", "up"]
    assert running.daemon._delivery.status["short"].state == "up"


def test_a_recording_that_has_ended_is_not_played_again_for_other_decisions(
    running: Running,
) -> None:
    running.until(lambda: "stopped end_of_file" in running.states("short"))
    running.write(ENDLESS, SHORT, "[capture]\nread_timeout_s = 9\n[decisions]\ncooldown_s = 7\n")
    running.daemon.reload()
    running.until(lambda: running.states("endless").count("connecting") == 2)
    running.until(lambda: running.states("endless")[-1] == "up")
    assert running.states("short").count("connecting") == 1
    assert running.daemon._fleet.lines["short"].lane.settings.policies[0] is not None
    assert running.daemon._fleet._lanes.keys() == {
        line.lane.number for line in running.daemon._fleet.lines.values()
    }


def test_a_hangup_while_the_daemon_is_being_built_is_not_lost() -> None:
    asked: list[str] = []
    with _Signals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        signals.serve(lambda: None, lambda: asked.append("reload"))
        assert asked == ["reload"]
        os.kill(os.getpid(), signal.SIGHUP)
        assert asked == ["reload", "reload"]
