"""A data folder gives the same validation clips every time, and says what it cannot use."""

import itertools
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamcls.errors import DataError
from streamcls.finetune.augment import Augment, mirrored_labels
from streamcls.finetune.dataset import (
    TrainingClips,
    ValidationClips,
    VideoFolder,
    clip_starts,
    scan_folder,
)
from streamcls.finetune.reader import read_clip
from streamcls.transforms import ClipSpec
from tests.finetune.clips import LABELS, write_ramp, write_ramps
from tests.videos import number_in, write_video

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ramps(tmp_path_factory.mktemp("ramps"), train=2, val=2)


@pytest.fixture
def copy(ramps: Path, tmp_path: Path) -> Path:
    """A data folder that a test may damage."""
    return shutil.copytree(ramps, tmp_path / "data")


def test_classes_are_the_sorted_folder_names(ramps: Path) -> None:
    folder = scan_folder(ramps)
    assert folder.labels == LABELS
    assert folder.counts() == {"train": {"fall": 2, "rise": 2}, "val": {"fall": 2, "rise": 2}}
    assert [video.label for video in folder.train] == [0, 0, 1, 1]
    assert folder.skipped == ()


def test_a_bad_file_is_skipped_named_and_logged(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = copy / "train" / "rise" / "bad.MP4"
    bad.write_bytes(b"no video")
    (copy / "train" / "rise" / "notes.txt").write_text("not counted")
    (copy / "train" / ".cache").mkdir()
    folder = scan_folder(copy)
    assert len(folder.train) == 4
    assert len(folder.skipped) == 1
    assert str(bad) in folder.skipped[0]
    assert str(bad) in caplog.text


def test_a_missing_split_is_named_with_the_layout(copy: Path) -> None:
    shutil.rmtree(copy / "val")
    with pytest.raises(DataError, match=r"val is not a folder; .* val/<class>/<video>\.mp4"):
        scan_folder(copy)


def test_splits_of_different_classes_are_refused(copy: Path) -> None:
    (copy / "val" / "rise").rename(copy / "val" / "climb")
    with pytest.raises(DataError, match="different classes: climb, rise"):
        scan_folder(copy)


def test_one_class_is_too_few(copy: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(copy / split / "rise")
    with pytest.raises(DataError, match="1 class folders; at least 2"):
        scan_folder(copy)


def test_a_class_without_a_usable_video_is_refused_with_a_reason(copy: Path) -> None:
    for file in (copy / "val" / "fall").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"fall has no usable video; 2 skipped, as .*00\.mp4"):
        scan_folder(copy)


@given(st.fractions(0, 30), st.integers(1, 12))
def test_validation_clips_lie_in_the_video_on_the_grid_and_reach_both_ends(
    length_s: Fraction, max_clips: int
) -> None:
    starts = clip_starts(length_s, SPEC, max_clips)
    interval_s = SPEC.frame_interval_s
    assert 1 <= len(starts) <= max_clips
    assert starts == sorted(set(starts))
    assert all((start_s / interval_s).denominator == 1 for start_s in starts)
    if length_s < SPEC.span_s:
        assert starts == [0]
        return
    assert starts[-1] + SPEC.span_s <= length_s
    if len(starts) > 1:
        assert starts[0] == 0
        assert length_s - (starts[-1] + SPEC.span_s) < interval_s
    if len(starts) < max_clips:
        gaps = [b - a for a, b in itertools.pairwise(starts)]
        assert all(gap <= SPEC.num_frames * interval_s for gap in gaps)


def numbered(tmp_path: Path, frames: int) -> VideoFolder:
    """Two videos a split whose frames show their own numbers."""
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / split / label).mkdir(parents=True)
            write_video(tmp_path / split / label / "v.mp4", frames=frames)
    return scan_folder(tmp_path)


def test_validation_takes_the_same_clips_whatever_the_random_state(tmp_path: Path) -> None:
    folder = numbered(tmp_path, 46)
    clips = ValidationClips(folder.val, SPEC, max_clips=3)
    torch.manual_seed(0)
    seen = [[number_in(picture) for picture in clips[n].clip.numpy()] for n in range(len(clips))]
    torch.manual_seed(1)
    again = [[number_in(picture) for picture in clips[n].clip.numpy()] for n in range(len(clips))]
    assert seen == again
    assert seen[:3] == [[0, 3, 6, 9], [18, 21, 24, 27], [36, 39, 42, 45]]
    assert [clips[n].video for n in range(len(clips))] == [0, 0, 0, 1, 1, 1]
    assert [clips[n].label for n in range(len(clips))] == [0, 0, 0, 1, 1, 1]


def test_validation_clips_are_the_readers_own_to_the_bit(ramps: Path) -> None:
    folder = scan_folder(ramps)
    clips = ValidationClips(folder.val, SPEC, max_clips=1)
    path = folder.val[0].info.path
    start_s = clip_starts(folder.val[0].info.length_s, SPEC, 1)[0]
    np.testing.assert_array_equal(clips[0].clip.numpy(), read_clip(path, start_s, SPEC))


def test_training_starts_anywhere_a_whole_clip_fits(tmp_path: Path) -> None:
    folder = numbered(tmp_path, 46)
    clips = TrainingClips(folder.train, SPEC, None)
    torch.manual_seed(0)
    firsts = set()
    for _ in range(25):
        shown = [number_in(picture) for picture in clips[0].clip.numpy()]
        assert [later - shown[0] for later in shown] == [0, 3, 6, 9]
        firsts.add(shown[0])
    assert len(firsts) > 10
    assert max(firsts) <= 36


def test_a_short_video_gives_one_clip_that_ends_in_its_last_frame(tmp_path: Path) -> None:
    folder = numbered(tmp_path, 5)
    validation = ValidationClips(folder.val, SPEC, max_clips=10)
    assert len(validation) == 2
    for clips in (validation, TrainingClips(folder.train, SPEC, None)):
        assert [number_in(picture) for picture in clips[0].clip.numpy()] == [0, 3, 4, 4]


def test_a_file_that_vanishes_later_is_named(tmp_path: Path) -> None:
    folder = numbered(tmp_path, 12)
    folder.val[0].info.path.unlink()
    with pytest.raises(DataError, match=r"v\.mp4 cannot be read .*; remove it and start again"):
        ValidationClips(folder.val, SPEC, max_clips=1)[0]


def test_augmented_clips_are_one_square_of_the_crop_in_the_same_order() -> None:
    clip = (
        np.zeros((4, 36, 50, 3), np.uint8)
        + (np.arange(4, dtype=np.uint8) * 50)[:, None, None, None]
    )
    augment = Augment(SPEC, LABELS)
    for _ in range(20):
        changed, label = augment(clip, 1)
        assert changed.shape == (4, 32, 32, 3)
        assert changed.dtype == np.uint8
        assert label == 1
        np.testing.assert_array_equal(changed[:, 5, 5, 0], [0, 50, 100, 150])


def test_every_frame_is_cut_at_the_same_random_place() -> None:
    still = np.random.default_rng(0).integers(0, 256, (1, 36, 50, 3), np.uint8).repeat(4, axis=0)
    augment = Augment(SPEC, LABELS)
    places = [augment(still, 0)[0] for _ in range(5)]
    for changed in places:
        np.testing.assert_array_equal(changed[0], changed[3])
    assert any((places[0] != other).any() for other in places[1:])


def test_a_mirrored_clip_takes_its_mirror_label() -> None:
    labels = ["left", "right", "still"]
    clip = np.zeros((4, 32, 32, 3), np.uint8)
    clip[:, :, :8] = 200
    augment = Augment(SPEC, labels, max_scale=1, flip={"left": "right"})
    torch.manual_seed(0)
    seen = {
        (bool(changed[0, 0, 0, 0]), label)
        for changed, label in (augment(clip, 0) for _ in range(20))
    }
    assert seen == {(True, 0), (False, 1)}
    assert {augment(clip, 2)[1] for _ in range(20)} == {2}


@pytest.mark.parametrize(
    ("flip", "said"),
    [
        ({"left": "up"}, "'up', which is no class; known: left, right, still"),
        ({"left": "right", "right": "still"}, "'right' two mirror images"),
    ],
)
def test_a_mirror_map_that_makes_no_sense_is_refused(flip: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        mirrored_labels(["left", "right", "still"], flip)


def test_a_folder_of_videos_may_nest(copy: Path) -> None:
    nested = copy / "train" / "rise" / "more" / "deep"
    nested.mkdir(parents=True)
    write_ramp(nested / "x.mp4", rising=True, seed=7)
    assert scan_folder(copy).counts()["train"]["rise"] == 3
