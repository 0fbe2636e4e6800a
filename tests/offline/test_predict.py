"""Whole videos: windows, events and one answer each, in each form, batched across files."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.engine import Engine
from streamcls.errors import ConfigError, DataError
from streamcls.frames import RgbClip
from streamcls.lane import LaneSettings
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle
from streamcls.models.manifest import Activation
from streamcls.offline.predict import (
    FailedVideo,
    Output,
    VideoPrediction,
    predict,
    predictions,
)
from streamcls.offline.recordings import Recording, reading, replay
from tests.models.small import LABELS, write_small
from tests.offline.footage import Brightness, write_scenes
from tests.videos import write_video


def whole(
    settings: LaneSettings, *videos: Path, output: Output = "labels", batch_size: int = 8
) -> list[VideoPrediction]:
    results = list(predictions(videos, settings, output=output, batch_size=batch_size))
    assert all(isinstance(result, VideoPrediction) for result in results), results
    return [result for result in results if isinstance(result, VideoPrediction)]


def test_the_whole_video_is_looked_at_and_answered_with_the_mean(engine: Engine, day: Path) -> None:
    (result,) = whole(reading(engine, stride_s=0.5), day, output="probabilities")
    assert [window.start_s for window in result.windows] == pytest.approx(np.arange(0, 12.6, 0.5))
    rows = np.array([window.answer for window in result.windows])
    assert np.array(result.answer) == pytest.approx(rows.mean(axis=0))
    assert (result.label, result.held) == ("rest", False)
    assert [event.label for event in result.events] == ["rise", "fall"]


def test_windows_and_events_are_those_of_the_replay(engine: Engine, day: Path) -> None:
    settings = reading(engine, stride_s=0.3)
    (result,) = whole(settings, day)
    replayed = list(replay(Recording(day, settings)))
    assert len(result.windows) == len(replayed)
    assert list(result.events) == [event for _, ended in replayed for event in ended]


def test_windows_of_several_files_share_batches(engine: Engine, day: Path, tmp_path: Path) -> None:
    sizes: list[int] = []

    class Counting(Brightness):
        def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
            sizes.append(len(clips))
            return super().scores(clips)

    videos = [write_scenes(tmp_path / f"{n}.mp4", [("rise", 1.0)]) for n in range(5)]
    counted = reading(Engine(engine.model, Counting()))
    together = whole(counted, *videos, day, batch_size=4)
    assert sizes == [4, 4, 4, 4, 2]  # a window of each short file, thirteen of the day
    alone = [whole(counted, video)[0] for video in (*videos, day)]
    assert together == alone


@pytest.mark.parametrize(
    ("output", "answer"), [("labels", "rise"), ("classes", 1), ("probabilities", (0.0, 1.0, 0.0))]
)
def test_an_answer_has_the_form_asked_for(
    output: Output, answer: object, engine: Engine, tmp_path: Path
) -> None:
    video = write_scenes(tmp_path / "up.mp4", [("rise", 1.0)])
    (result,) = whole(reading(engine), video, output=output)
    assert result.answer == result.windows[0].answer == answer


def test_logits_are_what_the_probabilities_are_made_of(bundle: Path, day: Path) -> None:
    model = load_bundle(bundle)
    settings = reading(Engine(model, TorchBackend(model)), stride_s=3)
    (logits,) = whole(settings, day, output="logits")
    (scores,) = whole(settings, day, output="probabilities")
    rows = np.array([window.answer for window in logits.windows])
    softmax = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    assert softmax == pytest.approx(np.array([w.answer for w in scores.windows]), abs=1e-5)
    assert np.abs(rows.sum(axis=1)).max() > 0.01  # and not merely logarithms of them


def test_of_a_multi_label_model_all_labels_that_hold_are_told(tmp_path: Path) -> None:
    write_small(tmp_path / "many.safetensors", activation=Activation.SIGMOID)
    model = load_bundle(tmp_path / "many.safetensors")

    class Both(Brightness):
        def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
            return np.array([[0.1, 0.7, 0.9]] * len(clips), np.float32)

    settings = reading(Engine(model, Both()))
    video = write_scenes(tmp_path / "up.mp4", [("rise", 1.0)])
    assert whole(settings, video)[0].answer == ("rise", "fall")
    assert whole(settings, video, output="classes")[0].answer == (1, 2)


def test_a_video_shorter_than_a_clip_gives_one_and_says_so(engine: Engine, tmp_path: Path) -> None:
    short = write_scenes(tmp_path / "short.mp4", [("rise", 0.2)])
    (result,) = whole(reading(engine), short)
    assert result.held
    assert len(result.windows) == 1
    assert result.answer == "rise"


def test_bad_files_are_named_and_the_rest_goes_on(
    engine: Engine, day: Path, tmp_path: Path
) -> None:
    text, cut = tmp_path / "text.mp4", tmp_path / "cut.mp4"
    text.write_text("no video")
    index_first = {"movflags": "+faststart"}
    bytes_ = write_video(tmp_path / "whole.mp4", frames=90, muxing=index_first).read_bytes()
    cut.write_bytes(bytes_[: len(bytes_) // 2])
    # Stretches of 0.2 s, each shorter than a clip, five seconds apart.
    jumps_s = [5 * stretch + Fraction(n, 10) for stretch in range(3) for n in range(3)]
    jumping = write_video(tmp_path / "jumping.mp4", times_s=jumps_s)
    videos = [text, day, cut, jumping, day]
    results = list(predictions(videos, reading(engine)))
    failed = [isinstance(result, FailedVideo) for result in results]
    assert failed == [True, False, True, True, False]
    for result, path in zip(results, videos, strict=True):
        assert result.path == path
        assert isinstance(result, VideoPrediction) or path.name in result.reason
    assert results[1] == results[4]


def test_folders_are_searched_and_any_bundle_serves(
    bundle: Path, day: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "yard" / "monday"
    inner.mkdir(parents=True)
    (inner / "b.MP4").symlink_to(day)
    (inner / "notes.txt").write_text("none")
    (inner / ".hidden.mp4").write_text("none")
    write_scenes(tmp_path / "yard" / "c.mkv", [("rise", 1.0)])
    results = predict(tmp_path / "yard", model=bundle, device="cpu", stride_s=2)
    assert [result.path.name for result in results] == ["c.mkv", "b.MP4"]
    assert all(isinstance(r, VideoPrediction) and r.label in LABELS for r in results)


def test_a_folder_without_videos_and_arguments_that_cannot_be_are_refused(
    engine: Engine, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no video"):
        predict(tmp_path)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        list(predictions([], reading(engine), batch_size=0))
    with pytest.raises(ConfigError, match="'words' is unknown; use labels"):
        list(predictions([], reading(engine), output="words"))  # type: ignore[arg-type]
