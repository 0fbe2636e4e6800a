"""Faults inside: a network that breaks, a consumer that breaks. Seen, said, and no password."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from streamcls.config import parse_settings
from streamcls.daemon import Daemon
from streamcls.errors import StreamclsError
from streamcls.events import Encoded, EventData, Payload, StatusData
from streamcls.frames import Prediction
from streamcls.history import History
from streamcls.lane import Lane
from streamcls.models.backends import TorchBackend
from streamcls.stream_line import StreamLine
from tests.models.small import write_small
from tests.pipeline.stubs import window
from tests.videos import write_video

PROMISED_S = 10.0  # from SIGTERM on, says docs/operators.md


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=50, fps=25)
    text = (
        '[[streams]]\nid = "clip"\nurl = "clip.mp4"\npace = "fastest"\n'
        '[model]\npath = "small.safetensors"\nbackend = "torch"\n'
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\n[http]\nenabled = false\n'
    )
    return Daemon(parse_settings(text, folder=tmp_path))


def settings_text(tmp_path: Path) -> str:
    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=50, fps=25)
    return (
        '[[streams]]\nid = "clip"\nurl = "clip.mp4"\npace = "fastest"\n'
        '[model]\npath = "small.safetensors"\nbackend = "torch"\n'
        f'[publish]\nendpoint = "ipc://{tmp_path}/events"\n[http]\nport = 0\n'
    )


def test_a_daemon_that_cannot_be_built_for_whatever_reason_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse_settings(settings_text(tmp_path), folder=tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("not today")

    with monkeypatch.context() as patch:
        patch.setattr("streamcls.observer.HttpServer", broken)
        with pytest.raises(RuntimeError, match="not today"):
            Daemon(settings)
    assert Daemon(settings).run() == 0


def test_a_message_that_cannot_be_made_ends_the_run_after_every_started_event_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Payload] = []
    record, report = History.record, Lane.report

    def keep(self: History, group: Sequence[Encoded]) -> None:
        kept.extend(message.payload for message in group)
        record(self, group)

    def breaks_once_open(self: Lane, prediction: Prediction) -> Iterator[Payload]:
        yield from report(self, prediction)
        if self._event_ids:
            raise ZeroDivisionError

    monkeypatch.setattr(History, "record", keep)
    monkeypatch.setattr(Lane, "report", breaks_once_open)
    eager = "on_threshold = 0.34\noff_threshold = 0\nmin_duration_s = 0\n"
    text = f"{settings_text(tmp_path)}[decisions]\nsmoothing_s = 0\n{eager}"
    with pytest.raises(StreamclsError, match="stopped by ZeroDivisionError"):
        Daemon(parse_settings(text, folder=tmp_path)).run()
    events = [payload for payload in kept if isinstance(payload, EventData)]
    started = {event.event_id for event in events if event.transition == "start"}
    assert started
    assert started == {event.event_id for event in events if event.transition == "end"}
    assert [one.state for one in kept if isinstance(one, StatusData)][-1] == "stopped"


def test_with_every_stage_hanging_the_end_takes_no_longer_than_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, scoring, posting = threading.Event(), threading.Event(), threading.Event()

    def never_scores(self: TorchBackend, clips: object) -> None:
        scoring.set()
        released.wait(60)

    def never_posts() -> list[Payload]:
        posting.set()
        released.wait(60)
        return []

    monkeypatch.setattr(TorchBackend, "scores", never_scores)
    monkeypatch.setattr(TorchBackend, "warm_up", lambda self, sizes: None)
    monkeypatch.setattr(StreamLine, "feed", lambda self, frame: released.wait(60))
    daemon = Daemon(parse_settings(settings_text(tmp_path), folder=tmp_path))
    ended: list[int] = []
    running = threading.Thread(target=lambda: ended.append(daemon.run()))
    running.start()
    try:
        daemon._backlog.put(window("clip"), lossless=True, cancelled=threading.Event())
        daemon._delivery.post("clip", never_posts)
        assert scoring.wait(20)
        assert posting.wait(20)
        began_s = time.monotonic()
        daemon.stop()
        running.join(20)
        assert time.monotonic() - began_s < PROMISED_S
        assert ended == [0]
    finally:
        released.set()


def test_a_network_that_breaks_ends_the_run_with_its_trace_in_the_log(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: TorchBackend, clips: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access")

    monkeypatch.setattr(TorchBackend, "warm_up", lambda self, sizes: None)
    monkeypatch.setattr(TorchBackend, "scores", broken)
    with pytest.raises(StreamclsError, match="stopped by RuntimeError"):
        daemon.run()
    assert "illegal memory access" in caplog.text
    assert "in broken" in caplog.text


def test_a_fault_in_one_streams_consumer_fails_that_stream_and_hides_passwords(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: StreamLine, frame: object) -> bool:
        raise KeyError("rtsp://admin:hunter2@10.0.0.9/live")

    for line in daemon._fleet.lines.values():
        monkeypatch.setattr(line.capture, "_on_frame", broken.__get__(line))
    with caplog.at_level(logging.INFO, "streamcls"):
        assert daemon.run() == 1
    assert "failed: KeyError" in caplog.text
    assert "a fault inside streamcls" in caplog.text
    assert "hunter2" not in caplog.text
