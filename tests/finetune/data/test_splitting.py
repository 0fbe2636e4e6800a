"""What belongs together stays on one side, and what is on both is said."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.errors import DataError
from streamcls.finetune.data import Record
from streamcls.finetune.data.records import labels_of
from streamcls.finetune.data.splitting import leaks, recording_name, split_by_group


def records(*named: tuple[str, str, str]) -> list[Record]:
    """From (file, label, group)."""
    return [Record(Path(file), (label,), group=group) for file, label, group in named]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=6, max_size=80),
    st.floats(0.05, 0.6),
    st.integers(0, 3),
)
def test_groups_stay_whole_and_every_label_is_on_both_sides(
    drawn: list[tuple[int, str]], share: float, seed: int
) -> None:
    given_records = records(
        *((f"{i}.mp4", label, f"g{group}{label}") for i, (group, label) in enumerate(drawn))
    )
    homes = Counter(label for _, label in {(f"g{g}{label}", label) for g, label in drawn})
    if min(homes.values()) < 2:
        with pytest.raises(DataError, match="is of one group or file"):
            split_by_group(given_records, share, seed=seed)
        return
    training, validation = split_by_group(given_records, share, seed=seed)
    assert sorted(map(str, (r.path for r in (*training, *validation)))) == sorted(
        str(r.path) for r in given_records
    )
    assert not {r.group for r in training} & {r.group for r in validation}
    assert labels_of(training) == labels_of(validation) == labels_of(given_records)
    assert split_by_group(given_records, share, seed=seed) == (training, validation)


def test_the_share_is_met_where_groups_allow_it() -> None:
    many = records(*((f"{i}.mp4", "ab"[i % 2], "") for i in range(200)))
    _, validation = split_by_group(many, 0.2)
    assert Counter(r.labels[0] for r in validation) == {"a": 20, "b": 20}


def test_stretches_of_one_file_are_not_parted() -> None:
    cut = [Record(Path(f"{i // 5}.mp4"), ("ab"[i % 2],), i % 5, i % 5 + 1) for i in range(50)]
    training, validation = split_by_group(cut, 0.3)
    assert not {r.path for r in training} & {r.path for r in validation}


@pytest.mark.parametrize("share", [0, 1, -1, 2])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        split_by_group(records(("a", "x", ""), ("b", "x", "")), share)


@pytest.mark.parametrize(
    ("file", "recording"),
    [
        ("-1q7jA3DXQM_000005_000015.mp4", "-1q7jA3DXQM"),
        ("v_Archery_g01_c02.avi", "v_Archery_g01"),
        ("beach part 3.mp4", "beach"),
        ("yard-cut2.mp4", "yard"),
        ("garage (4).mp4", "garage"),
        ("walk.mp4", "walk"),
    ],
)
def test_clips_are_known_as_one_recordings_by_their_names(file: str, recording: str) -> None:
    assert recording_name(Path(file)) == recording


def test_recordings_on_both_sides_are_said_once_with_an_example() -> None:
    def side(*clips: int) -> list[Record]:
        return records(
            *(
                (f"{label}_g{g:02}_c{c:02}.avi", label, "")
                for label in "ab"
                for g in range(6)
                for c in clips
            )
        )

    (said,) = leaks(side(1, 2), side(3))
    assert "12 recording(s), by the names of their clips, in training and in validation" in said
    assert "a_g00_c02.avi and a_g00_c03.avi" in said


def test_files_numbered_by_class_are_no_leak() -> None:
    assert (
        leaks(
            records(("a_1.mp4", "a", ""), ("b_1.mp4", "b", "")),
            records(("a_2.mp4", "a", ""), ("b_2.mp4", "b", "")),
        )
        == []
    )


def test_a_group_or_a_file_on_both_sides_is_said(tmp_path: Path) -> None:
    both = leaks(records(("a.mp4", "x", "anna")), records(("b.mp4", "x", "anna")))
    assert "1 group(s) in training and in validation" in both[0]
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    for path in (one, other):
        path.write_bytes(b"the same film")
    (said,) = leaks([Record(one, ("x",))], [Record(other, ("x",))])
    assert "1 file(s) of the same content" in said
    assert leaks([Record(one, ("x",))], [Record(one, ("x",))])
