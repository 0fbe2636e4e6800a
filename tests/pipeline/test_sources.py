"""Files play whole, exactly and at their pace; whatever is wrong with one is said in one line."""

import os
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError, UnusableSource
from streamcls.frames import Frame
from streamcls.pipeline.sources import Source, open_source
from streamcls.pipeline.sources.pacing import Pacer
from streamcls.pipeline.sources.rtsp import host_of
from streamcls.pipeline.sources.webcam import device_of
from tests.pipeline.stubs import ManualClock
from tests.videos import number_in, write_audio, write_video

_LIMITS = CaptureSettings()


def _source(
    path: Path | str,
    *,
    pace: Pace = Pace.FASTEST,
    loop: bool = False,
    clock: ManualClock | None = None,
) -> Source:
    settings = StreamSettings(id="cam", url=str(path), pace=pace, loop=loop)
    return open_source(settings, _LIMITS, clock or ManualClock())


def _play(source: Source) -> list[Frame]:
    return list(source.frames(threading.Event()))


def _numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.image) for frame in frames if isinstance(frame.image, av.VideoFrame)]


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
    source = _source(path)
    assert _numbers(_play(source)) == list(range(25))
    assert source.decode_errors == 0


def test_media_times_are_exact(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    frames = _play(_source(write_video(tmp_path / "ntsc.mp4", frames=8, fps=rate)))
    assert [frame.media_s for frame in frames] == [n / rate for n in range(8)]


def test_irregular_times_are_kept(tmp_path: Path) -> None:
    times = [Fraction(n, 100) for n in (0, 3, 9, 11, 20, 21)]
    frames = _play(_source(write_video(tmp_path / "vfr.mp4", times_s=times)))
    assert [frame.media_s for frame in frames] == times


def test_a_raw_stream_is_timed_by_its_rate(tmp_path: Path) -> None:
    frames = _play(_source(write_video(tmp_path / "raw.h264", frames=5)))
    assert [frame.media_s for frame in frames] == [Fraction(n, 25) for n in range(5)]


def test_frames_stay_in_the_decoders_pixel_format(tmp_path: Path) -> None:
    (frame, *_) = _play(_source(write_video(tmp_path / "a.mp4", frames=3)))
    assert isinstance(frame.image, av.VideoFrame)
    assert frame.image.format.name == "yuv420p"


def test_real_time_pace_releases_each_frame_at_its_media_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=20, fps=25, jitter_s=0.015)
    frames = _play(_source(path, pace=Pace.REALTIME, clock=ManualClock()))
    shown_s = [frame.arrival_monotonic_s - frames[0].arrival_monotonic_s for frame in frames]
    meant_s = [float((frame.media_s or 0) - (frames[0].media_s or 0)) for frame in frames]
    assert shown_s == pytest.approx(meant_s)


def test_fastest_pace_never_waits(tmp_path: Path) -> None:
    clock = ManualClock()
    _play(_source(write_video(tmp_path / "a.mp4", frames=20), clock=clock))
    assert clock.now_s == ManualClock().now_s


def test_a_loop_starts_over_and_keeps_the_pace(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5, fps=10)
    source = _source(path, pace=Pace.REALTIME, loop=True)
    frames = list(islice(source.frames(threading.Event()), 13))
    assert _numbers(frames) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    assert frames[5].media_s == 0
    gaps_s = [b.arrival_monotonic_s - a.arrival_monotonic_s for a, b in pairwise(frames)]
    assert gaps_s == pytest.approx([0.1] * 12)


def test_stop_ends_a_loop_while_it_waits(tmp_path: Path) -> None:
    stop = threading.Event()

    class StoppedWhileWaiting(ManualClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:
            if self.now_s > 1000.5:
                event.set()
            return super().wait(event, seconds)

    path = write_video(tmp_path / "a.mp4", frames=5, fps=10)
    source = _source(path, pace=Pace.REALTIME, loop=True, clock=StoppedWhileWaiting())
    assert 5 < len(list(source.frames(stop))) < 9


def test_an_abandoned_source_closes_its_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=5)
    frames = _source(path).frames(threading.Event())
    next(frames)
    assert path.resolve() in _open_files()
    frames.close()
    assert path.resolve() not in _open_files()


def _open_files() -> set[Path]:
    return {Path(os.readlink(link)) for link in Path("/proc/self/fd").iterdir() if link.exists()}


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _folder(folder: Path) -> Path:
    return folder


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def _text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("not a video\n" * 100)
    return folder / "text.mp4"


def _empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _audio(folder: Path) -> Path:
    return write_audio(folder / "sound.mp4")


def _without_index(folder: Path) -> Path:
    return _cut(write_video(folder / "whole.mp4"))


def _playlist(folder: Path) -> Path:
    segment = write_video(folder / "segment.ts")
    (folder / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n"
    )
    return folder / "list.m3u8"


def _concatenation(folder: Path) -> Path:
    write_video(folder / "segment.ts")
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile segment.ts\n")
    return folder / "list.mp4"


def _monstrous(folder: Path) -> Path:
    """A motion JPEG whose headers promise 65500 x 65500 pixels."""
    small = write_video(folder / "small.avi", frames=3, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(small.read_bytes())
    start = data.find(b"\xff\xc0")
    while start >= 0:
        data[start + 5 : start + 9] = (65500).to_bytes(2, "big") * 2
        start = data.find(b"\xff\xc0", start + 1)
    (folder / "monstrous.avi").write_bytes(data)
    return folder / "monstrous.avi"


def _cut(path: Path) -> Path:
    data = path.read_bytes()
    cut = path.with_stem("cut")
    cut.write_bytes(data[: len(data) * 2 // 3])
    return cut


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_missing, "missing"),
        (_folder, "unusable"),
        (_pipe, "unusable"),
        (_text, "unusable"),
        (_empty, "unusable"),
        (_audio, "unusable"),
        (_without_index, "unusable"),
        (_playlist, "unusable"),
        (_concatenation, "unusable"),
        (_monstrous, "unusable"),
    ],
)
def test_a_bad_file_is_named_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(SourceError) as caught:
        _play(_source(path))
    assert caught.value.reason == reason
    assert isinstance(caught.value, UnusableSource) == (reason == "unusable")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "muxing"),
    [
        ("whole.mp4", {"movflags": "faststart"}),
        ("whole.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_a_file_cut_in_its_data_plays_what_it_holds_and_says_so(
    tmp_path: Path, name: str, muxing: dict[str, str]
) -> None:
    cut = _cut(write_video(tmp_path / name, frames=60, size=(320, 240), muxing=muxing))
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="cut off or damaged") as caught:
        frames.extend(_source(cut).frames(threading.Event()))
    assert caught.value.reason == "truncated"
    assert _numbers(frames) == list(range(len(frames)))
    assert 20 < len(frames) < 60


@pytest.mark.parametrize("name", ["whole.mkv", "whole.ts"])
def test_a_cut_recording_in_a_streaming_container_ends_like_any_other(
    tmp_path: Path, name: str
) -> None:
    frames = _play(_source(_cut(write_video(tmp_path / name, frames=60, size=(320, 240)))))
    assert _numbers(frames) == list(range(len(frames)))
    assert 20 < len(frames) < 60


def test_corrupt_packets_are_counted_and_skipped(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=48, gop=8, size=(320, 240))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = b"\x5a" * 200
    path.write_bytes(data)
    source = _source(path)
    frames = _play(source)
    assert source.decode_errors > 0
    assert len(frames) > 30
    assert _numbers(frames)[-8:] == list(range(40, 48))


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
        ("rtsp://user:pa@ss/wo?rd#@10.0.0.5/cam", "10.0.0.5"),
        ("rtsp://10.0.0.5?user=admin&password=secret", "10.0.0.5"),
        ("rtsp://10.0.0.5/user=admin_password=secret_channel=1", "10.0.0.5"),
    ],
)
def test_a_camera_is_named_by_its_host_alone(url: str, host: str) -> None:
    assert host_of(url) == host


def test_a_webcam_is_named_by_number_or_path() -> None:
    assert device_of("webcam:0") == Path("/dev/video0")
    assert device_of("webcam:/dev/v4l/by-id/usb-x") == Path("/dev/v4l/by-id/usb-x")


def test_a_missing_webcam_is_named() -> None:
    with pytest.raises(SourceError, match="/dev/video987") as caught:
        _play(_source("webcam:987"))
    assert caught.value.reason == "missing"
