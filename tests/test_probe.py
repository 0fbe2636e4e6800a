"""`streamcls check`: what a source gives when it is opened, and what a reload would do."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamcls.clock import SystemClock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.probe import Probe, probe
from tests.rtsp import rtsp_server
from tests.serving import free_port
from tests.videos import write_video


def look(url: Path | str, for_s: float = 3.0) -> Probe:
    return probe(StreamSettings("cam", str(url)), CaptureSettings(), SystemClock(), for_s=for_s)


def test_a_file_tells_codec_size_and_rate(tmp_path: Path) -> None:
    found = look(write_video(tmp_path / "clip.mp4", frames=60, fps=20, gop=20))
    assert (found.error, found.size, found.frames, found.has_times) == ("", ("128x96",), 60, True)
    assert found.fps == pytest.approx(20)
    assert found.keyframe_s == pytest.approx(1)
    assert found.line().startswith("h264 ")
    assert "yuv420p" in found.line()
    assert "20 fps measured" in found.line()
    assert found.clock_offset_s is None


@pytest.mark.rtsp
def test_a_camera_tells_its_clock_too(tmp_path: Path) -> None:
    with rtsp_server(codec="h265") as server:
        found = look(server.url, for_s=6)
    assert found.description.startswith("hevc")
    assert found.fps == pytest.approx(25, rel=0.05)
    assert found.first_frame_s is not None
    assert 0 < found.first_frame_s < 10
    # It runs on this very machine.
    assert found.clock_offset_s == pytest.approx(0, abs=2)
    assert "its clock is" in found.line()


def test_where_nothing_answers_the_reason_is_told() -> None:
    found = look(f"rtsp://user:hunter2@127.0.0.1:{free_port()}/1")
    assert "nothing listens" in found.line()
    assert "hunter2" not in found.line()


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamcls", "check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_probing_names_each_stream_and_fails_where_one_gives_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", frames=60, fps=20)
    path = tmp_path / "streamcls.toml"
    path.write_text(
        '[[streams]]\nid = "good"\nurl = "clip.mp4"\n[http]\nenabled = false\n'
        f'[[streams]]\nid = "dead"\nurl = "rtsp://127.0.0.1:{free_port()}/1"\n'
    )
    result = check(str(path), "--probe")
    assert result.returncode == 1, result.stderr
    lines = dict(line.partition(": ")[::2] for line in result.stdout.splitlines())
    assert "128x96" in lines["good"]
    assert "nothing listens" in lines["dead"]
    assert check(str(path)).returncode == 0


def test_two_files_can_be_compared_without_a_daemon(tmp_path: Path) -> None:
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    camera = '[[streams]]\nid = "{}"\nurl = "rtsp://user:{}@192.0.2.1/1"\n'
    http = "[http]\nenabled = false\n"
    old.write_text(camera.format("front", "hunter2") + camera.format("back", "x") + http)
    new.write_text(camera.format("front", "other") + camera.format("side", "x") + http)
    result = check(str(new), "--against", str(old))
    assert result.returncode == 0, result.stderr
    itself = check(str(new), "--against", str(new))
    assert itself.stdout.splitlines()[3:] == ["  change nothing"]
    assert result.stdout.splitlines()[2:] == [
        f"a reload from {old} would:",
        "  add side",
        "  remove back",
        "  restart front (url)",
    ]
