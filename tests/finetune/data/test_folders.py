"""Folders of videos: a class for each folder, and a word on what cannot be used."""

import shutil
from pathlib import Path

import pytest

from streamcls.errors import DataError
from streamcls.finetune.data import VideoData
from streamcls.finetune.data.checking import check
from tests.finetune.ramps import LABELS, write_ramp, write_ramps


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ramps(tmp_path_factory.mktemp("ramps"), train=2, val=2)


@pytest.fixture
def copy(ramps: Path, tmp_path: Path) -> Path:
    """A data folder that a test may damage."""
    return shutil.copytree(ramps, tmp_path / "data")


def test_classes_are_the_sorted_folder_names(ramps: Path) -> None:
    checked = check(VideoData.from_folders(ramps))
    assert checked.labels == LABELS
    assert checked.counts() == {"train": {"fall": 2, "rise": 2}, "val": {"fall": 2, "rise": 2}}
    assert [video.targets for video in checked.train] == [(0,), (0,), (1,), (1,)]
    assert checked.skipped == ()


def test_a_bad_file_is_skipped_named_and_logged(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = copy / "train" / "rise" / "bad.MP4"
    bad.write_bytes(b"no video")
    (copy / "train" / "rise" / "notes.txt").write_text("not counted")
    (copy / "train" / ".cache").mkdir()
    checked = check(VideoData.from_folders(copy))
    assert len(checked.train) == 4
    assert len(checked.skipped) == 1
    assert str(bad) in checked.skipped[0]
    assert str(bad) in caplog.text


def test_without_training_videos_the_layout_is_told(copy: Path) -> None:
    shutil.rmtree(copy / "train")
    with pytest.raises(DataError, match=r"train is not a folder .* train/<class>/<video>\.mp4"):
        VideoData.from_folders(copy)


def test_without_validation_videos_some_of_each_class_are_split_off(copy: Path) -> None:
    shutil.rmtree(copy / "val")
    data = VideoData.from_folders(copy, val_share=0.5)
    assert sorted(record.labels[0] for record in data.val) == ["fall", "rise"]
    assert not {record.path for record in data.val} & {record.path for record in data.train}


def test_test_and_predict_folders_are_taken_where_they_are(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(copy / "val", copy / "test")
    shutil.copytree(copy / "val", tmp_path / "new")
    data = VideoData.from_folders(copy, predict=tmp_path / "new")
    assert len(data.test) == 4
    assert [record.labels for record in data.predict] == [()] * 4


def test_splits_may_be_named_one_by_one(copy: Path) -> None:
    data = VideoData.from_folders(train=copy / "train", val=copy / "val")
    assert (len(data.train), len(data.val)) == (4, 4)
    with pytest.raises(DataError, match="root or train"):
        VideoData.from_folders(val=copy / "val")


def test_splits_of_different_classes_are_refused(copy: Path) -> None:
    (copy / "val" / "rise").rename(copy / "val" / "climb")
    with pytest.raises(DataError, match="different classes: climb, rise"):
        VideoData.from_folders(copy)


def test_one_class_is_too_few(copy: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(copy / split / "rise")
    with pytest.raises(DataError, match="1 classes; at least 2"):
        VideoData.from_folders(copy)


def test_a_class_without_a_usable_video_is_refused_with_a_reason(copy: Path) -> None:
    for file in (copy / "val" / "fall").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable video of 'fall'; 2 skipped, as .*00\.mp4"):
        check(VideoData.from_folders(copy))


def test_a_class_folder_without_a_video_is_named(copy: Path) -> None:
    (copy / "train" / "new").mkdir()
    with pytest.raises(DataError, match="train/new has no usable video"):
        VideoData.from_folders(copy)


def test_a_folder_of_videos_may_nest(copy: Path) -> None:
    nested = copy / "train" / "rise" / "more" / "deep"
    nested.mkdir(parents=True)
    write_ramp(nested / "x.mp4", rising=True, seed=7)
    assert check(VideoData.from_folders(copy)).counts()["train"]["rise"] == 3
