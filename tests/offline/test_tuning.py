"""Thresholds chosen on labelled streams: better or equal, repeatable, and in the file alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.engine import Engine
from streamcls.errors import ConfigError, DataError
from streamcls.models.bundle import DecisionDefaults, load_bundle
from streamcls.models.manifest import LabelDecisionDefaults
from streamcls.offline.evaluate import judge
from streamcls.offline.recordings import reading
from streamcls.offline.scored import ScoredRecording, decided_again
from streamcls.offline.tracks import Segment, Track
from streamcls.offline.tuning import middle_of_best, policies_of, rewrite_decisions, tuned

STREAM = Path("stream")
TRACK: Track = (Segment(10, 20, "rise"), Segment(30, 40, "fall"), Segment(50, 60, "rise"))


def timid(noise: float = 0.0) -> ScoredRecording:
    """A minute of a model that gives `rise` 0.5 where it holds, below its threshold of 0.6."""
    times_s = np.arange(0, 70, 0.5)
    scores = np.full((len(times_s), 3), 0.1, np.float32)
    for segment in TRACK:
        index = ("rest", "rise", "fall").index(segment.label)
        inside = (segment.start_s <= times_s) & (times_s < segment.end_s)
        scores[inside, index] = 0.5 if segment.label == "rise" else 0.9
    scores += noise * np.random.default_rng(3).random(scores.shape, np.float32)
    return ScoredRecording(
        name=STREAM,
        first_s=0.0,
        length_s=70.0,
        centres_s=times_s,
        ends_s=times_s + 0.15,
        stream_epochs=np.ones(len(times_s), np.int64),
        scores=scores,
        events=(),
    )


def f1_of(engine: Engine, scored: ScoredRecording, defaults: DecisionDefaults) -> float | None:
    labels = engine.model.labels
    again = decided_again([scored], policies_of(defaults, labels), labels)
    return judge(reading(engine), again, {STREAM: TRACK}).total.f1


@pytest.mark.parametrize("noise", [0.0, 0.09])
def test_a_label_scored_too_low_is_told_after_tuning(noise: float, engine: Engine) -> None:
    scored = timid(noise)
    before = f1_of(engine, scored, engine.model.manifest.decisions)
    chosen = tuned(reading(engine), [scored], {STREAM: TRACK})
    assert before is not None
    assert before < 0.6
    assert f1_of(engine, scored, chosen) == 1.0
    assert tuned(reading(engine), [scored], {STREAM: TRACK}) == chosen


def test_thresholds_lie_in_the_middle_of_what_serves_as_well(engine: Engine) -> None:
    chosen = tuned(reading(engine), [timid()], {STREAM: TRACK})
    on = chosen.labels["rise"].on_threshold
    assert on is not None
    assert 0.2 < on < 0.45  # anything above 0.1 and up to 0.5 tells it
    assert chosen.labels["fall"].smoothing_s == engine.model.manifest.decisions.smoothing_s


def test_a_label_without_segments_keeps_what_it_has(engine: Engine) -> None:
    chosen = tuned(reading(engine), [timid()], {STREAM: TRACK[1:2]})
    assert set(chosen.labels) == {"fall"}


def test_tracks_of_nothing_but_the_background_choose_nothing(engine: Engine) -> None:
    with pytest.raises(DataError, match="no segment"):
        tuned(reading(engine), [timid()], {STREAM: (Segment(0, 9, "rest"),)})


def test_the_written_file_has_the_same_weights_and_the_new_decisions(
    bundle: Path, tmp_path: Path
) -> None:
    before = load_bundle(bundle)
    own = {"rise": LabelDecisionDefaults(on_threshold=0.3, off_threshold=0.2)}
    defaults = DecisionDefaults(background_label="rest", labels=own)
    rewrite_decisions(bundle, defaults, tmp_path / "tuned.safetensors")
    after = load_bundle(tmp_path / "tuned.safetensors")
    assert after.manifest.decisions == defaults
    assert after.manifest.weights_hash == before.manifest.weights_hash
    assert after.manifest.golden == before.manifest.golden
    assert after.file_hash != before.file_hash
    assert list(tmp_path.iterdir()) == [tmp_path / "tuned.safetensors"]


def test_a_file_may_be_tuned_in_place(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(bundle.read_bytes())
    rewrite_decisions(copy, DecisionDefaults(), copy)
    assert load_bundle(copy).manifest.decisions == DecisionDefaults()


def test_decisions_for_labels_the_model_lacks_are_not_written(bundle: Path, tmp_path: Path) -> None:
    foreign = DecisionDefaults(labels={"sky": LabelDecisionDefaults()})
    with pytest.raises(ConfigError, match="'sky'"):
        rewrite_decisions(bundle, foreign, tmp_path / "tuned.safetensors")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=20))
def test_the_middle_of_the_best_is_among_the_best_and_in_a_longest_run(ladder: list[float]) -> None:
    middle = middle_of_best(ladder)
    best = max(ladder)
    assert ladder[middle] == best

    def run(index: int, step: int) -> int:
        reach = 0
        while 0 <= index + step < len(ladder) and ladder[index + step] == best:
            index, reach = index + step, reach + 1
        return reach

    left, right = run(middle, -1), run(middle, 1)
    assert right - left in (0, 1)
    longest = max(run(n, -1) + run(n, 1) for n, value in enumerate(ladder) if value == best)
    assert left + right == longest
