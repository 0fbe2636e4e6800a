"""Faults inside: a network that breaks, a consumer that breaks. Seen, said, and no password."""

import logging
from pathlib import Path

import pytest

from streamcls.config import parse_settings
from streamcls.daemon import Daemon
from streamcls.errors import StreamclsError
from streamcls.models.backends import TorchBackend
from streamcls.stream_line import StreamLine
from tests.models.small import write_small
from tests.videos import write_video


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    write_small(tmp_path / "small.safetensors")
    write_video(tmp_path / "clip.mp4", frames=50, fps=25)
    text = (
        '[[streams]]\nid = "clip"\nurl = "clip.mp4"\npace = "fastest"\n'
        '[model]\npath = "small.safetensors"\n'
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\n[http]\nenabled = false\n'
    )
    return Daemon(parse_settings(text, folder=tmp_path))


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

    for line in daemon._lines.values():
        monkeypatch.setattr(line.capture, "_on_frame", broken.__get__(line))
    with caplog.at_level(logging.INFO, "streamcls"):
        assert daemon.run() == 1
    assert "clip: failed KeyError" in caplog.text
    assert "a fault inside streamcls" in caplog.text
    assert "hunter2" not in caplog.text
