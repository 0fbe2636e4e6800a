"""Clips depend on seed, epoch and place alone, and a broken file costs one clip."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamcls.errors import DataError
from streamcls.finetune.augment.sample import SampleAugment
from streamcls.finetune.clips.reader import read_clip
from streamcls.finetune.clips.samplers import RandomMulti, Uniform
from streamcls.finetune.data import Record, VideoData
from streamcls.finetune.data.checking import CheckedData, check
from streamcls.finetune.loading import TrainingClips, ValidationClips
from streamcls.transforms import ClipSpec
from tests.videos import number_in, write_video

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)


def numbered(
    tmp_path: Path, frames: int, start_s: float | None = None, end_s: float | None = None
) -> CheckedData:
    """Two videos a split whose frames show their own numbers."""
    splits: dict[str, list[Record]] = {}
    for split in ("train", "val"):
        for label in ("a", "b"):
            path = tmp_path / f"{split}-{label}.mp4"
            write_video(path, frames=frames)
            splits.setdefault(split, []).append(Record(path, (label,), start_s, end_s))
    return check(VideoData.of(splits["train"], splits["val"]))


def validation(checked: CheckedData, max_clips: int) -> ValidationClips:
    return ValidationClips(checked.val, SPEC, classes=2, sampler=Uniform(max_clips))


def training(checked: CheckedData, augment: SampleAugment | None = None) -> TrainingClips:
    return TrainingClips(
        checked.train, SPEC, classes=2, sampler=RandomMulti(), augment=augment, seed=3
    )


def shown(clip: torch.Tensor) -> list[int]:
    return [number_in(picture) for picture in clip.numpy()]


def test_validation_takes_the_same_clips_whatever_the_random_state(tmp_path: Path) -> None:
    clips = validation(numbered(tmp_path, 46), 3)
    torch.manual_seed(0)
    seen = [shown(clips[n][0].clip) for n in range(len(clips))]
    torch.manual_seed(1)
    assert seen == [shown(clips[n][0].clip) for n in range(len(clips))]
    assert seen[:3] == [[0, 3, 6, 9], [18, 21, 24, 27], [36, 39, 42, 45]]
    assert [index for index, _ in clips.clips] == [0, 0, 0, 1, 1, 1]
    assert [clips[n][0].target.tolist() for n in (0, 5)] == [[1, 0], [0, 1]]


def test_validation_clips_are_the_readers_own_to_the_bit(tmp_path: Path) -> None:
    checked = numbered(tmp_path, 46)
    clips = validation(checked, 1)
    path, start_s = checked.val[0].record.path, clips.clips[0][1]
    np.testing.assert_array_equal(clips[0][0].clip.numpy(), read_clip(path, start_s, SPEC))


def test_training_starts_anywhere_a_whole_clip_fits(tmp_path: Path) -> None:
    clips = training(numbered(tmp_path, 46))
    firsts = set()
    for epoch in range(25):
        numbers = shown(clips[epoch, 0][0].clip)
        assert [later - numbers[0] for later in numbers] == [0, 3, 6, 9]
        firsts.add(numbers[0])
    assert len(firsts) > 10
    assert max(firsts) <= 36


def test_a_visit_is_the_same_in_any_order_and_random_state(tmp_path: Path) -> None:
    checked = numbered(tmp_path, 46)
    clips = training(checked, SampleAugment(SPEC, checked.labels, flip={}))
    torch.manual_seed(0)
    first = clips[4, 1][0].clip
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _ = clips[2, 0]
    assert torch.equal(clips[4, 1][0].clip, first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(clips[5, 1][0].clip, first)


def test_a_short_video_gives_one_clip_that_ends_in_its_last_frame(tmp_path: Path) -> None:
    checked = numbered(tmp_path, 5)
    clips = validation(checked, 10)
    assert len(clips) == 2
    assert shown(clips[0][0].clip) == [0, 3, 4, 4]
    assert shown(training(checked)[0, 0][0].clip) == [0, 3, 4, 4]


def test_clips_stay_within_their_stretch(tmp_path: Path) -> None:
    checked = numbered(tmp_path, 90, start_s=1.0, end_s=2.0)
    clips = training(checked)
    firsts = {shown(clips[epoch, 0][0].clip)[0] for epoch in range(40)}
    assert min(firsts) >= 29
    assert max(firsts) + 9 <= 60
    assert {shown(validation(checked, 9)[n][0].clip)[0] for n in range(2)} <= set(range(29, 52))


def test_a_file_that_vanishes_is_named_and_another_taken_or_the_clip_left_out(
    tmp_path: Path,
) -> None:
    checked = numbered(tmp_path, 46)
    for split in (checked.train, checked.val):
        split[0].record.path.unlink()
    (sample,) = training(checked)[0, 0]
    assert "train-a.mp4 cannot be read" in sample.broken[0]
    assert sample.target.tolist() == [0, 1]
    (void,) = validation(checked, 1)[0]
    assert void.is_void
    assert "val-a.mp4 cannot be read" in void.broken[0]


def test_when_all_vanish_it_ends(tmp_path: Path) -> None:
    checked = numbered(tmp_path, 12)
    for video in checked.train:
        video.record.path.unlink()
    with pytest.raises(DataError, match=r"videos in a row cannot be read, the first: .*-b\.mp4"):
        _ = training(checked)[0, 1]


def test_a_clip_in_memory_is_scaled_to_the_short_side() -> None:
    pixels = np.full((2, 4, 72, 144, 3), 90, np.uint8)
    data = VideoData.from_tensors((pixels, ["a", "b"]), (pixels, ["a", "b"]))
    clips = ValidationClips(check(data).val, SPEC, classes=2, sampler=Uniform())
    assert clips[0][0].clip.shape == (4, 36, 72, 3)
    assert (clips[0][0].clip == 90).all()
    long = np.zeros((2, 9, 72, 144, 3), np.uint8)
    data = VideoData.from_tensors((pixels, ["a", "b"]), (long, ["a", "b"]))
    clips = ValidationClips(check(data).val, SPEC, classes=2, sampler=Uniform())
    assert "has 9 frames; the network takes 4" in clips[0][0].broken[0]
