"""Files play whole, exactly and at their pace; whatever is wrong with one is said in one line."""

import os
import threading
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import Pace
from streamcls.frames import RgbImage
from streamcls.pipeline.sources.pacing import Pacer
from streamcls.transforms import ClipSpec, scaled_size, to_small_rgb
from streamcls.urls import host_of
from tests.pipeline.playing import numbers_in, play, source
from tests.pipeline.stubs import ManualClock
from tests.videos import write_video

_SPEC = ClipSpec(num_frames=2, sampling_rate=1, trained_fps=1, short_side=32, crop=32)


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


def _ramp(width: int, height: int) -> av.VideoFrame:
    """Colours that change smoothly, so that how a picture is scaled matters little."""
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    rgb = np.dstack([40 + 170 * across, 200 - 150 * down, 60 + 120 * down * across])
    return av.VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24")


def _filmed(path: Path, codec: str, pixels: str, size: tuple[int, int], **options: str) -> Path:
    """One picture of the ramp, with its matrix and range declared."""
    grey = pixels.startswith("gray")  # swscale makes it of full range, by the weights of BT.601
    matrix = Colorspace.ITU601 if codec == "mjpeg" else Colorspace.ITU709  # JPEG knows but one
    drawn = _ramp(*size) if max(size) <= 1920 else _ramp(480, 270)
    picture = drawn.reformat(*size, format=pixels, dst_colorspace=matrix)
    picture.pts = 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        is_rgb = av.VideoFormat(pixels).is_rgb
        stream.codec_context.colorspace = 0 if is_rgb else {Colorspace.ITU709: 1}.get(matrix, 5)
        stream.codec_context.color_range = ColorRange.JPEG if grey else ColorRange.MPEG
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def _small(path: Path) -> tuple[RgbImage, av.VideoFrame]:
    """The first picture as a network sees it, and as it was decoded."""
    picture = play(source(path))[0].image
    assert isinstance(picture, av.VideoFrame)
    return to_small_rgb(picture, _SPEC), picture


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv420p10le"),
        ("libx264", "gray"),
        ("libx264", "gray10le"),
        ("libx265", "yuv420p10le"),
        ("libx265", "yuv422p12le"),
        ("libx264rgb", "rgb24"),
        ("ffv1", "yuv411p"),
        ("ffv1", "gray16le"),
        ("ffv1", "bgr0"),
        ("ffv1", "gbrp10le"),
        ("ffv1", "rgb48le"),
        ("mjpeg", "yuvj422p"),
    ],
)
@pytest.mark.parametrize("size", [(320, 240), (1280, 720)])
def test_every_kind_of_picture_comes_out_in_its_own_colours(
    tmp_path: Path, codec: str, pixels: str, size: tuple[int, int]
) -> None:
    """As swscale's full picture, scaled; above and below 720 lines."""
    small, _ = _small(_filmed(tmp_path / "a.mkv", codec, pixels, size))
    true = _ramp(*size).to_ndarray().astype(np.float32)
    if pixels.startswith("gray"):
        true[:] = true @ np.array([[0.299], [0.587], [0.114]], np.float32)
    scaled = cv2.resize(true, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small - scaled).max() < 8


@pytest.mark.parametrize(("pixels", "step"), [("gray", 1), ("gray10le", 4), ("gray16le", 256)])
def test_grey_of_undeclared_range_is_limited_at_any_depth(pixels: str, step: int) -> None:
    kind = np.uint8 if step == 1 else np.uint16
    for level, shown in [(16, 0), (235, 255)]:
        flat = np.full((64, 64), level * step, kind)
        small = to_small_rgb(av.VideoFrame.from_ndarray(flat, format=pixels), _SPEC)
        assert small[16, 16].tolist() == pytest.approx([shown] * 3, abs=1)


@pytest.mark.parametrize("pixels", ["yuv420p10le", "gray12le", "yuyv422", "gbrp10le"])
def test_a_matrix_that_nobody_knows_stops_no_picture(pixels: str) -> None:
    picture = _ramp(160, 96).reformat(format=pixels)
    for declared in range(18):
        picture.colorspace = declared
        assert to_small_rgb(picture, _SPEC).shape == (32, 53, 3)


@pytest.mark.parametrize(
    ("codec", "size", "options"),
    [
        ("libx264", (96, 160), {}),
        ("libx264", (1920, 64), {}),
        ("libx264", (720, 576), {"x264-params": "tff=1"}),
        ("libx264", (16, 16), {}),
        ("ffv1", (2, 2), {}),
        ("mpeg4", (7680, 4320), {}),
    ],
)
def test_every_shape_of_picture_comes_out_whole(
    tmp_path: Path, codec: str, size: tuple[int, int], options: dict[str, str]
) -> None:
    path = _filmed(tmp_path / "a.mkv", codec, "yuv420p", size, **options)
    small, picture = _small(path)
    assert small.shape == (*scaled_size(*size, 32)[::-1], 3)
    assert picture.interlaced_frame == ("x264-params" in options)
    full = picture.to_ndarray(format="rgb24")
    filter_ = cv2.INTER_AREA if min(size) >= 32 else cv2.INTER_LINEAR
    scaled = cv2.resize(full, small.shape[1::-1], interpolation=filter_)
    assert np.abs(small.astype(int) - scaled).max() <= 8


def test_a_phones_upright_recording_is_upright(tmp_path: Path) -> None:
    lying = _filmed(tmp_path / "lying.mp4", "libx264", "yuv420p", (160, 96))
    data = bytearray(lying.read_bytes())
    # The track's display matrix, 16.16 fixed point, the last column 2.30: a quarter to the right.
    at = data.find(b"tkhd") + 4 + 40
    assert data[at : at + 4] == b"\0\1\0\0"
    turn = [0, 0x10000, 0, -0x10000, 0, 0, 96 << 16, 0, 0x40000000]
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in turn)
    upright = tmp_path / "upright.mp4"
    upright.write_bytes(data)
    assert np.array_equal(_small(upright)[0], np.rot90(_small(lying)[0], -1))


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
    assert pacer.late_s == 499.0, "forgiven, and told all the same"
    assert pacer.due_s(Fraction(2), 500.0) == 501.0
    assert pacer.late_s == 0


def test_a_frame_tells_by_how_much_its_handling_is_late(tmp_path: Path) -> None:
    clock = ManualClock()
    path = write_video(tmp_path / "a.mp4", frames=20, fps=25)
    behind_s = []
    for number, frame in enumerate(
        source(path, pace=Pace.REALTIME, clock=clock).frames(threading.Event())
    ):
        behind_s.append(frame.behind_s)
        clock.now_s += 0.5 if number == 5 else 0.03  # a slow consumer
    assert behind_s[:6] == [0] * 6
    # Half a second is worked off by a hundredth a frame.
    assert behind_s[6:10] == pytest.approx([0.46, 0.45, 0.44, 0.43])


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
