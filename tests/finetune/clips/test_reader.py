"""A clip read from a file holds the frames showing at its instants, however the file seeks."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import pytest

from streamcls.errors import UnusableSource
from streamcls.finetune.clips import reader
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.transforms import ClipSpec, to_small_rgb
from tests.videos import number_in, write_audio, write_video

SPEC = ClipSpec(num_frames=4, sampling_rate=6, trained_fps=30, short_side=48, crop=48)


def shown_at(times_s: Sequence[Fraction], instant_s: Fraction) -> int:
    """The frame showing at an instant, found the plain way: the last one at or before it."""
    return max(n for n, time_s in enumerate(times_s) if n == 0 or time_s <= instant_s)


def numbers(clip: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    return [number_in(picture) for picture in clip]


@pytest.mark.parametrize(
    ("suffix", "fps", "b_frames", "gop"),
    [
        (".mp4", Fraction(30), 0, 12),
        (".mp4", Fraction(25), 2, 250),
        (".mkv", Fraction(30_000, 1001), 2, 20),
        (".ts", Fraction(24), 2, 15),
        (".avi", Fraction(30), 0, 1),
        (".webm", Fraction(10), 0, 7),
    ],
)
def test_each_instant_shows_the_last_frame_at_or_before_it(
    tmp_path: Path, suffix: str, fps: Fraction, b_frames: int, gop: int
) -> None:
    codec = {".webm": "libvpx", ".avi": "mjpeg"}.get(suffix, "libx264")
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(
        tmp_path / f"v{suffix}",
        frames=50,
        fps=fps,
        b_frames=b_frames,
        gop=gop,
        codec=codec,
        pix_fmt=pix_fmt,
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        decoded = [
            (frame.pts * stream.time_base, to_small_rgb(frame, SPEC))
            for frame in container.decode(stream)
            if frame.pts is not None
        ]
    times = [time_s - decoded[0][0] for time_s, _ in decoded]
    for start_s in (Fraction(0), Fraction(1, 3), Fraction(4, 5), Fraction(1)):
        clip = read_clip(path, start_s, SPEC)
        wanted = [shown_at(times, start_s + n * SPEC.frame_interval_s) for n in range(4)]
        for picture, index in zip(clip, wanted, strict=True):
            np.testing.assert_array_equal(picture, decoded[index][1])
    assert numbers(read_clip(path, Fraction(0), SPEC))[0] == 0


def test_frames_of_uneven_times_are_taken_by_their_times(tmp_path: Path) -> None:
    times = [Fraction(n, 30) + (Fraction(1, 90) if n % 3 else 0) for n in range(40)]
    path = write_video(tmp_path / "v.mp4", times_s=times)
    clip = read_clip(path, Fraction(1, 10), SPEC)
    wanted = [shown_at(times, Fraction(1, 10) + n * SPEC.frame_interval_s) for n in range(4)]
    assert numbers(clip) == wanted


def test_a_frame_is_converted_once_and_only_if_it_shows(tmp_path: Path) -> None:
    slow = write_video(tmp_path / "slow.mp4", frames=6, fps=2)
    with patch.object(reader, "to_small_rgb", wraps=to_small_rgb) as convert:
        assert numbers(read_clip(slow, Fraction(1), SPEC)) == [2, 2, 2, 3]
        assert convert.call_count == 2


def test_after_the_end_the_last_frame_shows_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", frames=9, fps=30)
    assert numbers(read_clip(path, Fraction(0), SPEC)) == [0, 6, 8, 8]


def test_a_known_first_time_changes_nothing(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.ts", frames=40)
    first_s = probe(path).first_s
    np.testing.assert_array_equal(
        read_clip(path, Fraction(1, 2), SPEC, first_s=first_s),
        read_clip(path, Fraction(1, 2), SPEC),
    )


def test_a_probe_goes_by_the_frames(tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / "v.mp4", frames=31, fps=30, size=(64, 48), b_frames=2))
    assert (info.num_frames, info.width, info.height) == (31, 64, 48)
    assert info.length_s == 1


@pytest.mark.parametrize("read", [probe, lambda path: read_clip(path, Fraction(0), SPEC)])
@pytest.mark.parametrize("kind", ["text", "empty", "cut", "audio", "missing", "folder"])
def test_a_file_that_is_no_video_is_named(tmp_path: Path, kind: str, read: object) -> None:
    assert callable(read)
    path = tmp_path / f"{kind}.mp4"
    if kind == "audio":
        write_audio(path)
    elif kind == "cut":
        whole = write_video(tmp_path / "whole.mp4").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"no video here\n" * (kind == "text"))
    with pytest.raises(UnusableSource) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
