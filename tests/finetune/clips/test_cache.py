"""What is kept on disk is what would be decoded, to the bit, and no more than there is room for."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamcls.errors import UnusableSource
from streamcls.finetune.clips import cache as module
from streamcls.finetune.clips.cache import FrameCache
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.transforms import ClipSpec
from tests.videos import number_in, write_video

SPEC = ClipSpec(num_frames=5, sampling_rate=4, trained_fps=30, short_side=48, crop=48)
ROOM = 10**9


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(
        tmp_path / "film.mkv", frames=50, fps=Fraction(30000, 1001), jitter_s=0.01, b_frames=2
    )


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.frames")) if folder.exists() else []


def test_clips_are_the_same_from_the_first_visit_on(film: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    first_s = probe(film).first_s
    for _ in range(2):
        for start_s in (Fraction(n, 13) for n in range(24)):
            np.testing.assert_array_equal(
                cache.read_clip(film, start_s, SPEC, first_s=first_s),
                read_clip(film, start_s, SPEC, first_s=first_s),
            )
    assert len(kept(tmp_path / "cache")) == 1


def test_a_later_visit_decodes_nothing(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    before = cache.read_clip(film, Fraction(1, 3), SPEC, first_s=probe(film).first_s)
    first_s = probe(film).first_s
    for name in ("all_frames", "read_clip"):
        monkeypatch.setattr(module, name, None)
    again = cache.read_clip(film, Fraction(1, 3), SPEC, first_s=first_s)
    np.testing.assert_array_equal(before, again)


def test_a_file_that_changes_is_decoded_anew(film: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    assert number_in(cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)[0]) == 0
    times_s = [Fraction(n, 30) for n in range(40)]
    write_video(film, frames=40, times_s=times_s, size=(64, 48))
    os.utime(film, ns=(1, 1))
    clip = cache.read_clip(film, Fraction(1), SPEC, first_s=probe(film).first_s)
    np.testing.assert_array_equal(
        clip, read_clip(film, Fraction(1), SPEC, first_s=probe(film).first_s)
    )


def test_what_is_damaged_on_disk_is_made_again(film: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    clip = cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
    (entry,) = kept(tmp_path / "cache")
    whole = entry.read_bytes()
    for damaged in (b"", whole[:100], whole[:-10], b"\0" * 500):
        entry.write_bytes(damaged)
        again = cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
        np.testing.assert_array_equal(again, clip)
        assert entry.read_bytes() == whole


def test_it_keeps_no_more_than_there_is_room_for(film: Path, tmp_path: Path) -> None:
    small = FrameCache(tmp_path / "cache", 100_000)
    clip = small.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
    np.testing.assert_array_equal(
        clip, read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
    )
    assert kept(tmp_path / "cache") == []


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"no\.mp4 cannot be read as a video: No such file"):
        FrameCache(tmp_path, ROOM).read_clip(
            tmp_path / "no.mp4", Fraction(0), SPEC, first_s=Fraction(0)
        )
