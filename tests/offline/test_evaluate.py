"""A model file against labelled recordings: figures that are right, and the same twice."""

from dataclasses import asdict
from pathlib import Path

import pytest

from streamcls.engine import Engine
from streamcls.offline.evaluate import Figures, evaluate
from streamcls.offline.recordings import Recording, reading
from streamcls.offline.scored import decide, score_recording
from streamcls.offline.tracks import Segment, Track
from tests.offline.conftest import SCENES
from tests.offline.footage import truth_of, write_scenes
from tests.videos import write_video


def figures(engine: Engine, video: Path, track: Track) -> dict[str, Figures]:
    result = evaluate(reading(engine, stride_s=0.5), {video: track})
    return {part.label: part for part in (*result.classes, result.total)}


def test_a_model_that_is_right_scores_so(engine: Engine, day: Path) -> None:
    rows = figures(engine, day, truth_of(SCENES))
    assert rows["total"].f1 == 1.0
    assert rows["total"].false_alarms_per_hour == 0
    assert (rows["rise"].segments, rows["fall"].segments, rows["rest"].segments) == (1, 1, 0)
    # Windows are 0.3 s long: every centre is labelled, and only those at a change may be wrong.
    assert rows["total"].windows == 26
    assert rows["total"].correct >= 22
    assert sum(rows[label].windows for label in ("rest", "rise", "fall")) == 26
    delay_s = rows["rise"].delay_median_s
    assert delay_s is not None
    assert 0.5 <= delay_s <= 1.5  # it must hold for half a second first


def test_what_is_told_wrongly_counts_as_false_alarm_and_what_is_not_told_as_missed(
    engine: Engine, day: Path
) -> None:
    rows = figures(engine, day, (Segment(0, 1, "fall"), Segment(8, 11, "fall")))
    assert (rows["fall"].precision, rows["fall"].recall) == (1.0, 0.5)
    assert (rows["rise"].false_alarms, rows["rise"].recall) == (1, None)
    assert rows["rise"].false_alarms_per_hour == pytest.approx(3600 / 12.9, rel=1e-4)
    assert rows["total"].f1 == pytest.approx(0.5)


def test_only_windows_whose_centre_is_labelled_count(engine: Engine, day: Path) -> None:
    rows = figures(engine, day, (Segment(3, 4, "rise"),))
    assert rows["total"].windows == 2
    assert rows["rest"].accuracy is None


def test_two_evaluations_are_equal(engine: Engine, day: Path) -> None:
    settings, tracks = reading(engine), {day: truth_of(SCENES)}
    assert asdict(evaluate(settings, tracks)) == asdict(evaluate(settings, tracks))


def test_a_bad_file_is_named_and_the_rest_goes_on(
    engine: Engine, day: Path, tmp_path: Path
) -> None:
    bad, short = tmp_path / "bad.mp4", write_video(tmp_path / "short.mp4", frames=3)
    bad.write_text("no video")
    result = evaluate(reading(engine), {bad: (), short: (), day: truth_of(SCENES)})
    assert result.recordings == 2
    assert len(result.failed) == 1
    assert "bad.mp4" in result.failed[0]
    assert result.without_window == (str(short),)
    assert result.total.f1 == 1.0


def test_stored_scores_decide_as_the_lane_did(engine: Engine, day: Path, tmp_path: Path) -> None:
    settings = reading(engine, stride_s=0.3)
    blink = write_scenes(tmp_path / "blink.mp4", [("rise", 0.7), ("fall", 1.1), ("rise", 0.9)])
    late = write_scenes(tmp_path / "late.mkv", [("rise", 1.5), ("rest", 1.0)], first_s=7)
    for video in (day, blink, late):
        scored = score_recording(Recording(video, settings))
        assert scored.events
        assert scored.first_s == (7 if video is late else 0)
        assert decide(scored, settings.policies, engine.model.labels) == scored.events
