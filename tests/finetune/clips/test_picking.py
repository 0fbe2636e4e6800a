"""Decoding only what a clip needs gives what decoding everything gives, to the bit."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamcls.finetune.clips import reader
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.transforms import ClipSpec
from tests.videos import write_video

SPEC = ClipSpec(num_frames=6, sampling_rate=5, trained_fps=30, short_side=48, crop=48)


def in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reader decode everything."""
    monkeypatch.setattr(reader, "picked_frames", lambda *_: None)


@pytest.fixture
def never_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it fail where it decodes everything."""

    def frames(*_: Any) -> Iterator[Any]:
        raise AssertionError("every frame was decoded")

    monkeypatch.setattr(reader, "_frames", frames)


FILES: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"codec": "libx264", "b_frames": 3, "gop": 40},
    "no-b-frames.mp4": {"codec": "libx264", "b_frames": 0, "gop": 40},
    "jitter.mkv": {"codec": "libx264", "b_frames": 2, "jitter_s": 0.012, "gop": 30},
    "stream.ts": {"codec": "libx264", "b_frames": 2, "gop": 25},
    "mpeg4.mp4": {"codec": "mpeg4", "b_frames": 2, "gop": 20},
    "hevc.mp4": {"codec": "libx265", "b_frames": 3, "gop": 40},
    "vp9.webm": {"codec": "libvpx-vp9", "gop": 40},
}


@pytest.mark.parametrize("name", FILES)
def test_the_clip_is_the_same_to_the_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FILES[name]
    if settings["codec"] not in av.codecs_available:
        pytest.skip(f"needs an FFmpeg with {settings['codec']}")
    path = write_video(tmp_path / name, frames=100, fps=30, size=(96, 64), **settings)
    first_s = probe(path).first_s
    starts = [Fraction(n, 37) for n in range(0, 130, 9)]
    quick = [read_clip(path, start_s, SPEC, first_s=first_s) for start_s in starts]
    in_full(monkeypatch)
    for start_s, clip in zip(starts, quick, strict=True):
        np.testing.assert_array_equal(clip, read_clip(path, start_s, SPEC, first_s=first_s))


@pytest.mark.usefixtures("never_in_full")
def test_an_ordinary_file_is_not_decoded_in_full(tmp_path: Path) -> None:
    path = write_video(tmp_path / "b.mp4", frames=100, fps=30, size=(96, 64), b_frames=3, gop=40)
    assert read_clip(path, Fraction(1), SPEC, first_s=Fraction(0)).shape == (6, 48, 72, 3)


def test_a_damaged_file_reads_as_it_always_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "b.mkv", frames=100, fps=30, size=(96, 64), b_frames=2, gop=20)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data), 997):
        data[place] ^= 0x5A
    path.write_bytes(data)
    first_s = probe(path).first_s
    starts = [Fraction(n, 7) for n in range(15)]
    quick = [read_clip(path, start_s, SPEC, first_s=first_s) for start_s in starts]
    in_full(monkeypatch)
    for start_s, clip in zip(starts, quick, strict=True):
        whole = read_clip(path, start_s, SPEC, first_s=first_s)
        assert clip.shape == whole.shape
