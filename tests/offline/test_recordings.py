"""A recording through the daemon's stages: its windows, its events, and nothing from the clock."""

import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamcls.config import DecisionSettings
from streamcls.engine import Engine
from streamcls.errors import ConfigError, SourceError, UnusableSource
from streamcls.finetune.clips.reader import read_clip
from streamcls.frames import Prediction
from streamcls.offline.recordings import Recording, reading, replay
from tests.models.small import SPEC
from tests.videos import write_video

EAGER = DecisionSettings(on_threshold=0.1, off_threshold=0, min_duration_s=0, background_label="")


def test_windows_are_those_of_the_grid_for_the_whole_recording(engine: Engine, day: Path) -> None:
    windows = list(Recording(day, reading(engine, stride_s=0.5)).windows())
    starts = [float(window.start_s) for window in windows]
    assert starts == pytest.approx(np.arange(0, 12.6, 0.5))
    assert {np.shape(window.clip) for window in windows} == {(4, 36, 48, 3)}


def test_events_are_those_of_the_labels(engine: Engine, day: Path) -> None:
    recording = Recording(day, reading(engine, stride_s=0.5))
    events = [event for _, ended in replay(recording) for event in ended]
    assert [event.label for event in events] == ["rise", "fall"]
    for event, (start_s, end_s) in zip(events, [(3, 6), (8, 11)], strict=True):
        assert abs(event.start_s - start_s) <= 0.5
        assert abs(event.end_s - end_s) <= 0.5
        assert event.start_s < event.decided_s < event.end_s
    assert recording.length_s == Fraction(129, 10)


def test_times_are_from_the_first_frame_whatever_the_files_own_clock(
    engine: Engine, tmp_path: Path
) -> None:
    late = write_video(tmp_path / "late.mkv", times_s=[5 + Fraction(n, 10) for n in range(20)])
    recording = Recording(late, reading(engine, decisions=EAGER))
    events = [event for _, ended in replay(recording) for event in ended]
    assert recording.first_s == 5
    assert recording.length_s == Fraction(19, 10)
    assert events
    assert all(0 < event.start_s <= event.end_s < event.decided_s + 1 < 3 for event in events)


def test_an_event_open_at_the_end_is_ended(engine: Engine, day: Path) -> None:
    decisions = DecisionSettings(background_label="")
    recording = Recording(day, reading(engine, decisions=decisions))
    events = [event for _, ended in replay(recording) for event in ended]
    assert [event.label for event in events] == ["rest", "rise", "rest", "fall", "rest"]
    assert recording.end() == ([], [])


def test_two_readings_publish_the_same_bytes(engine: Engine, day: Path) -> None:
    def published() -> list[object]:
        recording = Recording(day, reading(engine))
        windows = recording.windows()
        rows = [(window, engine.backend.scores([window.clip])[0]) for window in windows]
        return [recording.report(Prediction(window, row, 0, 0))[0] for window, row in rows]

    assert published() == published()


def test_a_recording_shorter_than_a_clip_shows_its_last_frame_on_as_validation_does(
    engine: Engine, tmp_path: Path
) -> None:
    short = write_video(tmp_path / "short.mp4", frames=5, fps=30)
    recording = Recording(short, reading(engine))
    assert list(recording.windows()) == []
    (window,) = recording.one_held_window()
    assert np.array_equal(window.clip, read_clip(short, window.start_s, SPEC))


def test_a_recording_of_a_single_frame_gives_one_clip(engine: Engine, tmp_path: Path) -> None:
    still = write_video(tmp_path / "still.mp4", frames=1)
    (window,) = Recording(still, reading(engine)).one_held_window()
    assert (np.array(window.clip) == window.clip[0]).all()


def test_memory_does_not_grow_with_the_recording(engine: Engine, tmp_path: Path) -> None:
    def peak_of(frames: int) -> int:
        video = write_video(tmp_path / f"{frames}.mp4", frames=frames, fps=10, size=(320, 240))
        windows = replay(Recording(video, reading(engine, stride_s=0.5)))
        next(windows)  # what is made once is made now
        tracemalloc.start()
        count = sum(1 for _ in windows)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count > frames / 10
        return peak

    assert peak_of(300) < 1.5 * peak_of(60)


@pytest.mark.parametrize("what", ["missing", "text", "cut"])
def test_a_bad_file_is_an_error_that_names_it(what: str, engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "bad.mkv"
    if what == "text":
        path.write_text("no video at all")
    if what == "cut":
        whole = write_video(tmp_path / "whole.mp4", frames=60).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"bad\.mkv") as caught:
        list(Recording(path, reading(engine)).windows())
    assert "`url`" not in str(caught.value)
    assert isinstance(caught.value, UnusableSource) or what != "text"


@pytest.mark.parametrize("name", ["rtsp:cam.mp4", "webcam:0", "~x.mp4", "a b?c#d.mp4"])
def test_any_file_name_is_a_file(name: str, engine: Engine, day: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.symlink_to(day)
    assert next(iter(Recording(path, reading(engine)).windows()))


@pytest.mark.parametrize("stride_s", [0.0, -1.0, float("nan")])
def test_a_stride_that_cannot_be_is_refused(stride_s: float, engine: Engine) -> None:
    with pytest.raises(ConfigError, match="stride_s"):
        reading(engine, stride_s=stride_s)
