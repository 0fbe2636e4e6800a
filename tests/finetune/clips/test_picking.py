"""Decoding only what a clip needs gives what decoding the whole file gives, to the bit."""

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamcls.finetune.clips import reader
from streamcls.finetune.clips.reader import all_frames, probe, read_clip
from streamcls.frames import ClipArray
from streamcls.transforms import ClipSpec, to_small_rgb
from tests.videos import write_video

SPEC = ClipSpec(num_frames=6, sampling_rate=5, trained_fps=30, short_side=48, crop=48)


def from_the_whole_file(path: Path, starts_s: list[Fraction]) -> list[ClipArray]:
    """The clips, from decoding every frame from the file's first on, as the daemon does."""
    frames = [(time_s, to_small_rgb(frame, SPEC)) for time_s, frame in all_frames(path)]
    times = [time_s - frames[0][0] for time_s, _ in frames]
    return [
        np.stack(
            [
                frames[bisect_right(times, start_s + n * SPEC.frame_interval_s) - 1][1]
                for n in range(SPEC.num_frames)
            ]
        )
        for start_s in starts_s
    ]


@pytest.fixture
def never_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reading fail where it decodes everything."""

    def frames(*_: Any, **__: Any) -> Iterator[Any]:
        raise AssertionError("every frame was decoded")

    monkeypatch.setattr(reader, "_frames", frames)


FILES: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"codec": "libx264", "b_frames": 3, "gop": 40},
    "no-b-frames.mp4": {"codec": "libx264", "b_frames": 0, "gop": 40},
    "one-keyframe.mp4": {"codec": "libx264", "b_frames": 3, "gop": 250},
    "jitter.mkv": {"codec": "libx264", "b_frames": 2, "jitter_s": 0.012, "gop": 30},
    "stream.ts": {"codec": "libx264", "b_frames": 2, "gop": 25},
    "mpeg2.ts": {"codec": "mpeg2video", "b_frames": 2, "gop": 25},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2, "gop": 40},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 2, "gop": 20},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0, "gop": 20},
    "hevc.mp4": {"codec": "libx265", "b_frames": 3, "gop": 40},
    "vp8.webm": {"codec": "libvpx", "gop": 40},
    "vp9.webm": {"codec": "libvpx-vp9", "gop": 40},
    "av1.mp4": {"codec": "libsvtav1", "gop": 40},
}


@pytest.mark.parametrize("name", FILES)
def test_the_clip_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    settings = FILES[name]
    if settings["codec"] not in av.codecs_available:
        pytest.skip(f"needs an FFmpeg with {settings['codec']}")
    path = write_video(tmp_path / name, frames=100, fps=30, size=(96, 64), **settings)
    first_s = probe(path).first_s
    starts = [Fraction(n, 37) for n in range(0, 130, 9)]
    for start_s, whole in zip(starts, from_the_whole_file(path, starts), strict=True):
        np.testing.assert_array_equal(read_clip(path, start_s, SPEC, first_s=first_s), whole)


@pytest.mark.usefixtures("never_in_full")
@pytest.mark.parametrize("name", ["b-frames.mp4", "stream.ts", "vp9.webm", "av1.mp4"])
def test_an_ordinary_file_is_not_decoded_in_full(name: str, tmp_path: Path) -> None:
    settings = FILES[name]
    if settings["codec"] not in av.codecs_available:
        pytest.skip(f"needs an FFmpeg with {settings['codec']}")
    path = write_video(tmp_path / name, frames=100, fps=30, size=(96, 64), **settings)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    assert first.time_base
    first_s = (first.pts or 0) * first.time_base
    clip = read_clip(path, Fraction(3, 2), SPEC, first_s=first_s)
    assert clip.shape == (6, 48, 72, 3)


def test_a_damaged_file_reads_on(tmp_path: Path) -> None:
    path = write_video(tmp_path / "b.mkv", frames=100, fps=30, size=(96, 64), b_frames=2, gop=20)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), 997):
        data[place] ^= 0x5A
    path.write_bytes(data)
    first_s = probe(path).first_s
    for start_s in (Fraction(n, 7) for n in range(15)):
        assert read_clip(path, start_s, SPEC, first_s=first_s).shape == (6, 48, 72, 3)
