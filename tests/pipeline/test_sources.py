"""Files play whole, exactly and at their pace; whatever is wrong with one is said in one line."""

import os
import threading
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import Pace
from streamcls.pipeline.sources.pacing import Pacer
from streamcls.urls import host_of
from tests.pipeline.playing import numbers_in, play, source
from tests.pipeline.stubs import ManualClock
from tests.videos import write_video


@pytest.mark.parametrize(
    ("name", "codec", "b_frames"),
    [
        ("a.mp4", "libx264", 0),
        ("b.mp4", "libx264", 2),
        ("a.mkv", "libx265", 0),
        ("a.ts", "libx264", 2),
    ],
)
def test_every_frame_comes_once_in_order(
    tmp_path: Path, name: str, codec: str, b_frames: int
) -> None:
    path = write_video(tmp_path / name, frames=25, codec=codec, b_frames=b_frames)
    player = source(path)
    assert numbers_in(play(player)) == list(range(25))
    assert player.decode_errors == 0


def test_media_times_are_exact(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    frames = play(source(write_video(tmp_path / "ntsc.mp4", frames=8, fps=rate)))
    assert [frame.media_s for frame in frames] == [n / rate for n in range(8)]


def test_irregular_times_are_kept(tmp_path: Path) -> None:
    times = [Fraction(n, 100) for n in (0, 3, 9, 11, 20, 21)]
    frames = play(source(write_video(tmp_path / "vfr.mp4", times_s=times)))
    assert [frame.media_s for frame in frames] == times


def test_a_raw_stream_is_timed_by_its_rate(tmp_path: Path) -> None:
    frames = play(source(write_video(tmp_path / "raw.h264", frames=5)))
    assert [frame.media_s for frame in frames] == [Fraction(n, 25) for n in range(5)]


def test_frames_stay_in_the_decoders_pixel_format(tmp_path: Path) -> None:
    (frame, *_) = play(source(write_video(tmp_path / "a.mp4", frames=3)))
    assert isinstance(frame.image, av.VideoFrame)
    assert frame.image.format.name == "yuv420p"


def test_real_time_pace_releases_each_frame_at_its_media_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=20, fps=25, jitter_s=0.015)
    frames = play(source(path, pace=Pace.REALTIME, clock=ManualClock()))
    shown_s = [frame.arrival_monotonic_s - frames[0].arrival_monotonic_s for frame in frames]
    meant_s = [float((frame.media_s or 0) - (frames[0].media_s or 0)) for frame in frames]
    assert shown_s == pytest.approx(meant_s)


def test_fastest_pace_never_waits(tmp_path: Path) -> None:
    clock = ManualClock()
    play(source(write_video(tmp_path / "a.mp4", frames=20), clock=clock))
    assert clock.now_s == ManualClock().now_s


def test_a_loop_starts_over_and_keeps_the_pace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5, fps=10)
    player = source(path, pace=Pace.REALTIME, loop=True)
    frames = list(islice(player.frames(threading.Event()), 13))
    assert numbers_in(frames) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    assert frames[5].media_s == 0
    gaps_s = [b.arrival_monotonic_s - a.arrival_monotonic_s for a, b in pairwise(frames)]
    assert gaps_s == pytest.approx([0.1] * 12)


def test_a_loop_of_a_single_picture_does_not_spin(tmp_path: Path) -> None:
    clock = ManualClock()
    path = write_video(tmp_path / "still.mp4", frames=1)
    player = source(path, pace=Pace.REALTIME, loop=True, clock=clock)
    list(islice(player.frames(threading.Event()), 26))
    assert clock.now_s == pytest.approx(ManualClock().now_s + 1)


def test_stop_ends_a_loop_while_it_waits(tmp_path: Path) -> None:
    stop = threading.Event()

    class StoppedWhileWaiting(ManualClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:
            if self.now_s > 1000.5:
                event.set()
            return super().wait(event, seconds)

    path = write_video(tmp_path / "a.mp4", frames=5, fps=10)
    player = source(path, pace=Pace.REALTIME, loop=True, clock=StoppedWhileWaiting())
    assert 5 < len(list(player.frames(stop))) < 9


def test_an_abandoned_source_closes_its_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5)
    frames = source(path).frames(threading.Event())
    next(frames)
    assert path.resolve() in _open_files()
    frames.close()
    assert path.resolve() not in _open_files()


def _open_files() -> set[Path]:
    return {Path(os.readlink(link)) for link in Path("/proc/self/fd").iterdir() if link.exists()}


@given(
    start=st.fractions(0, 1000),
    steps=st.lists(st.fractions(Fraction(1, 240), 2), max_size=50),
    delays=st.lists(st.floats(0, 1.5), min_size=51, max_size=51),
)
def test_pace_is_free_of_drift_however_late_single_frames_are(
    start: Fraction, steps: list[Fraction], delays: list[float]
) -> None:
    pacer = Pacer()
    media_s, due_s = start, pacer.due_s(start, 7.0)
    for step_s, late_s in zip(steps, delays, strict=False):
        media_s += step_s
        due_s = pacer.due_s(media_s, due_s + late_s)
        assert due_s == pytest.approx(7.0 + float(media_s - start))


def test_a_player_left_far_behind_does_not_rush() -> None:
    pacer = Pacer()
    pacer.due_s(Fraction(0), 0.0)
    assert pacer.due_s(Fraction(1), 500.0) == 500.0
    assert pacer.due_s(Fraction(2), 500.0) == 501.0


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("rtsp://10.0.0.5:554/cam", "10.0.0.5:554"),
        ("rtsp://user:pa@ss/wo?rd#@10.0.0.5/cam", "the camera"),
        ("rtsp://10.0.0.5?user=admin&password=secret", "10.0.0.5"),
        ("rtsp://10.0.0.5/user=admin_password=secret_channel=1", "10.0.0.5"),
    ],
)
def test_a_camera_is_named_by_its_host_alone(url: str, host: str) -> None:
    assert host_of(url) == host
