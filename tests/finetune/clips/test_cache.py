"""What is kept on disk is what would be decoded, to the bit, and no more than there is room for."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamcls.errors import UnusableSource
from streamcls.finetune.clips import cache as module
from streamcls.finetune.clips.cache import FrameCache
from streamcls.finetune.clips.reader import all_frames, probe, read_clip
from streamcls.transforms import ClipSpec
from tests.videos import number_in, write_video

SPEC = ClipSpec(num_frames=5, sampling_rate=4, trained_fps=30, short_side=48, crop=48)
ROOM = 10**9


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_video(
        tmp_path / "film.mkv", frames=50, fps=Fraction(30000, 1001), jitter_s=0.01, b_frames=2
    )


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were decoded as a whole."""
    paths: list[Path] = []

    def frames(path: Path) -> Iterator[Any]:
        paths.append(path)
        return all_frames(path)

    monkeypatch.setattr(module, "all_frames", frames)
    return paths


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


def test_a_file_that_changes_is_decoded_anew_and_what_was_kept_of_it_goes(
    film: Path, tmp_path: Path
) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    assert number_in(cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)[0]) == 0
    times_s = [Fraction(n, 30) for n in range(40)]
    write_video(film, frames=40, times_s=times_s, size=(64, 48))
    os.utime(film, ns=(1, 1))
    clip = cache.read_clip(film, Fraction(1), SPEC, first_s=probe(film).first_s)
    np.testing.assert_array_equal(
        clip, read_clip(film, Fraction(1), SPEC, first_s=probe(film).first_s)
    )
    assert len(kept(tmp_path / "cache")) == 1


def test_what_is_damaged_on_disk_is_made_again(film: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache", ROOM)
    clip = cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
    (entry,) = kept(tmp_path / "cache")
    whole = entry.read_bytes()
    lost_power = whole[:1024] + bytes(5000) + whole[6024:]
    for damaged in (b"", whole[:100], whole[:-10], b"\0" * 500, lost_power):
        entry.write_bytes(damaged)
        again = cache.read_clip(film, Fraction(0), SPEC, first_s=probe(film).first_s)
        np.testing.assert_array_equal(again, clip)
        assert entry.read_bytes() == whole


def test_it_keeps_no_more_than_there_is_room_for_and_tries_once(
    film: Path, tmp_path: Path, decodings: list[Path]
) -> None:
    small = FrameCache(tmp_path / "cache", 100_000)
    first_s = probe(film).first_s
    for _ in range(3):
        clip = small.read_clip(film, Fraction(0), SPEC, first_s=first_s)
        np.testing.assert_array_equal(clip, read_clip(film, Fraction(0), SPEC, first_s=first_s))
    assert kept(tmp_path / "cache") == []
    assert decodings == [film]
    FrameCache(tmp_path / "cache", ROOM).read_clip(film, Fraction(0), SPEC, first_s=first_s)
    assert len(kept(tmp_path / "cache")) == 1


def test_kept_files_never_exceed_the_limit_however_many_fill_the_cache(tmp_path: Path) -> None:
    films = [write_video(tmp_path / f"{n}.mp4", frames=30, size=(96, 64)) for n in range(6)]
    first = FrameCache(tmp_path / "one", ROOM)
    first.read_clip(films[0], Fraction(0), SPEC, first_s=Fraction(0))
    (one,) = kept(tmp_path / "one")
    limit = round(one.stat().st_size * 3.5)
    cache = FrameCache(tmp_path / "cache", limit)
    threads = [
        threading.Thread(
            target=cache.read_clip, args=(film, Fraction(0), SPEC), kwargs={"first_s": Fraction(0)}
        )
        for film in films
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(tmp_path / "cache")) == 3
    assert sum(entry.stat().st_size for entry in kept(tmp_path / "cache")) <= limit


def test_only_one_process_decodes_a_video_and_the_others_read_on(
    film: Path, tmp_path: Path, decodings: list[Path]
) -> None:
    first_s = probe(film).first_s
    cache = FrameCache(tmp_path / "cache", ROOM)
    cache.read_clip(film, Fraction(0), SPEC, first_s=first_s)
    (entry,) = kept(tmp_path / "cache")
    entry.unlink()
    with module._alone(entry.with_suffix(".partial")):
        clip = cache.read_clip(film, Fraction(0), SPEC, first_s=first_s)
    np.testing.assert_array_equal(clip, read_clip(film, Fraction(0), SPEC, first_s=first_s))
    assert len(decodings) == 1
    assert kept(tmp_path / "cache") == []


def _die_while_keeping(folder: Path, film: Path, first_s: Fraction) -> None:
    def frames(path: Path) -> Iterator[Any]:
        for number, one in enumerate(all_frames(path)):
            if number == 20:
                os._exit(9)
            yield one

    vars(module)["all_frames"] = frames
    FrameCache(folder, ROOM).read_clip(film, Fraction(0), SPEC, first_s=first_s)


def test_what_a_killed_process_left_is_taken_over(film: Path, tmp_path: Path) -> None:
    folder, first_s = tmp_path / "cache", probe(film).first_s
    killed = multiprocessing.get_context("spawn").Process(
        target=_die_while_keeping, args=(folder, film, first_s)
    )
    killed.start()
    killed.join()
    assert killed.exitcode == 9
    assert len(list(folder.glob("*.partial"))) == 1
    FrameCache(folder, ROOM).read_clip(film, Fraction(0), SPEC, first_s=first_s)
    assert list(folder.glob("*.partial")) == []
    assert len(kept(folder)) == 1


def test_a_folder_that_cannot_be_written_ends_nothing(film: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    first_s = probe(film).first_s
    clip = FrameCache(tmp_path / "file" / "cache", ROOM).read_clip(
        film, Fraction(0), SPEC, first_s=first_s
    )
    np.testing.assert_array_equal(clip, read_clip(film, Fraction(0), SPEC, first_s=first_s))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match=r"no\.mp4 cannot be read as a video: No such file"):
        FrameCache(tmp_path, ROOM).read_clip(
            tmp_path / "no.mp4", Fraction(0), SPEC, first_s=Fraction(0)
        )
