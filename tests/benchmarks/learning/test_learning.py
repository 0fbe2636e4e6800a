"""The labels are true of the files, no single frame tells them, and the splits share nothing."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.errors import ConfigError, DataError
from streamcls.finetune.clips.reader import probe, read_clip
from streamcls.finetune.training.recipe import Recipe
from tests.benchmarks.learning.__main__ import cut_data, run
from tests.benchmarks.learning.cutting import (
    FRAMES,
    LABELS,
    MIDDLE,
    SHOWN,
    SIDE,
    SPLITS,
    Cell,
    Split,
    cut,
    find_cells,
    instant_of,
    is_moving,
    shown,
    write_split,
)
from tests.benchmarks.learning.footage import FPS, Footage, fetch
from tests.benchmarks.learning.network import SPEC
from tests.benchmarks.learning.scoring import Verdict, accuracy, confusion


@pytest.fixture(scope="module")
def walk() -> Footage:
    """A disc that crosses the left half of a textured picture; the right half stays as it is."""
    ground = np.random.default_rng(0).integers(90, 160, (SIDE, 4 * SIDE, 3), np.uint8)
    pictures = []
    for n in range(80):
        centre = (10 + round(1.5 * n) % (2 * SIDE - 20), SIDE // 2)
        pictures.append(cv2.circle(ground.copy(), centre, 14, (250, 240, 20), -1))
    return np.asarray(np.stack(pictures), np.uint8)


@pytest.fixture(scope="module")
def written(walk: Footage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    for arm in ("clips", "stills"):
        write_split(walk, [Cell(40, 0, 32)], folder / arm, stills=arm == "stills")
    return folder


def clip(path: Path) -> np.ndarray:
    return read_clip(path, Fraction(0), SPEC)


def test_every_class_shows_the_same_frame_in_the_middle() -> None:
    for label in LABELS:
        assert shown(100, label)[MIDDLE] == 100
        assert len(shown(100, label)) == FRAMES


def test_out_of_order_shows_the_frames_of_forward_in_another_order() -> None:
    assert sorted(SHOWN["out_of_order"]) == sorted(SHOWN["forward"])
    assert any(later < earlier for earlier, later in pairwise(SHOWN["out_of_order"]))


@given(start=st.integers(0, FRAMES - SPEC.num_frames))
def test_every_clip_of_a_file_shows_its_class(start: int) -> None:
    steps = {
        label: {later - earlier for earlier, later in pairwise(SHOWN[label][start : start + 8])}
        for label in LABELS
    }
    assert steps["fast"] == {3}
    assert steps["forward"] == {1}
    assert steps["frozen"] == {0}
    assert min(steps["out_of_order"]) < 0


def test_a_files_frames_are_a_clips_frames(written: Path) -> None:
    for path in written.rglob("*.mp4"):
        info = probe(path)
        assert info.num_frames == FRAMES
        assert info.length_s == (FRAMES - 1) * SPEC.frame_interval_s
        assert (info.width, info.height) == (SIDE, SIDE)


def test_a_file_shows_the_recordings_frames_without_loss(written: Path) -> None:
    """The frame in the middle is the same pixels in every class, whatever is round it."""
    frames = {label: {} for label in LABELS}  # type: dict[str, dict[int, np.ndarray]]
    for label in LABELS:
        path = written / "clips" / label / "0040_000_032.mp4"
        last = read_clip(path, (FRAMES - SPEC.num_frames) * SPEC.frame_interval_s, SPEC)
        for instant, picture in zip(shown(40, label), [*clip(path)[:4], *last], strict=True):
            frames[label][instant] = picture
    for label in LABELS:
        for instant in frames[label].keys() & frames["forward"].keys():
            assert np.array_equal(frames[label][instant], frames["forward"][instant])


def test_a_still_is_one_equal_frame_in_every_class(written: Path) -> None:
    middle = clip(written / "clips" / "frozen" / "0040_000_032.mp4")[0]
    for label in LABELS:
        for picture in clip(written / "stills" / label / "0040_000_032.mp4"):
            assert np.array_equal(picture, middle)


def test_cells_are_where_and_when_something_moves(walk: Footage) -> None:
    cells = find_cells(walk, Split(0, 8, every=4, stride=32))
    assert cells
    assert all(cell.left < 2 * SIDE for cell in cells)
    assert all(is_moving(cut(walk, cell, shown(cell.instant, "forward"))) for cell in cells)


def test_no_frame_is_in_two_splits_nor_within_a_second_of_another(walk: Footage) -> None:
    whole = np.tile(walk, (10, 1, 1, 1))[:795]
    frames = {
        name: {n for cell in find_cells(whole, split) for label in LABELS
               for n in shown(cell.instant, label)}
        for name, split in SPLITS.items()
    }  # fmt: skip
    assert all(min(found) >= 0 and max(found) < len(whole) for found in frames.values())
    for earlier, later in pairwise(SPLITS):
        assert min(frames[later]) - max(frames[earlier]) > FPS


def test_a_files_name_tells_its_instant(written: Path) -> None:
    assert {instant_of(path) for path in written.rglob("*.mp4")} == {40}


def test_both_arms_get_files_of_the_same_cells(walk: Footage, tmp_path: Path) -> None:
    whole = np.tile(walk, (10, 1, 1, 1))[:795]
    cut_data(whole, tmp_path, {"train": 2, "val": 2, "test": 2})
    listed = [
        sorted(path.relative_to(tmp_path / arm) for path in (tmp_path / arm).rglob("*.mp4"))
        for arm in ("clips", "stills")
    ]
    assert listed[0] == listed[1]
    assert len(listed[0]) == 3 * 2 * len(LABELS)
    with pytest.raises(ConfigError, match="is not empty; name a new folder"):
        cut_data(whole, tmp_path, {})


def test_what_learned_from_stills_is_right_by_chance_exactly(walk: Footage, tmp_path: Path) -> None:
    whole = np.tile(walk, (10, 1, 1, 1))[:795]
    cut_data(whole, tmp_path, {"train": 4, "val": 1, "test": 3})
    recipe = Recipe(epochs=1, batch_size=4, lr=1e-2, flip={}, workers=0)
    runs = [run(tmp_path, "stills", recipe)]
    assert len(runs[0]) == 3 * len(LABELS)
    assert accuracy(runs, by_clip=True).share == 1 / len(LABELS)
    assert accuracy(runs, by_clip=False).share == 1 / len(LABELS)


def test_another_recording_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vtest.avi").write_bytes(b"another")
    with pytest.raises(DataError, match="is another recording"):
        fetch(tmp_path)


def verdicts(right: list[bool]) -> list[Verdict]:
    """One file an instant, its first clip right and its last as the file is."""
    return [
        Verdict(n, "fast", ("fast", given := "fast" if ok else "frozen"), given)
        for n, ok in enumerate(right)
    ]


def test_accuracy_counts_clips_and_videos() -> None:
    runs = [verdicts([True, True, False, True]), verdicts([True, False, False, True])]
    assert accuracy(runs, by_clip=True).share == 13 / 16
    assert accuracy(runs, by_clip=False).share == 5 / 8
    assert confusion(runs, LABELS)[LABELS.index("fast")].tolist() == [5, 0, 3, 0]


def test_the_interval_is_that_of_independent_instants() -> None:
    """A binomial's 95 % interval at p = 1/2 is about 2 * 1.96 * 0.5 / sqrt(n) wide."""
    once = accuracy([verdicts([True, False] * 50)], by_clip=False)
    assert once.low < once.share < once.high
    assert once.high - once.low == pytest.approx(0.196, abs=0.03)
    # The same cases run three times are no more cases.
    thrice = accuracy([verdicts([True, False] * 50)] * 3, by_clip=False)
    assert thrice == once
