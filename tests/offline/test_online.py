"""Offline equals online: a recording evaluated and the same one served, window by window.

On a CPU the last bits of a score depend on how many windows share a batch, and on the number of
threads. A stream of its own that the daemon keeps up with is scored window by window: so is a
replay, and the bits are the same. In larger batches they are equal to six decimals.
"""

import itertools
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.config import (
    BackendName,
    CaptureSettings,
    ModelSettings,
    Pace,
    Settings,
    StreamSettings,
    WindowSettings,
)
from streamcls.engine import Engine
from streamcls.events import EventData, PredictionData
from streamcls.frames import Frame, Prediction, Window
from streamcls.lane import Lane, LaneSettings
from streamcls.models.backends import use_threads
from streamcls.offline.predict import VideoPrediction, predictions
from streamcls.offline.recordings import Recording, frames_of, reading, replay
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import InferenceWorker
from streamcls.pipeline.sources import open_source
from tests.pipeline.stubs import ManualClock
from tests.serving import PATIENCE_S, config, serving, stream
from tests.videos import write_video

STRIDE_S = 0.5


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of changing pictures whose times no grid of tenths meets."""
    path = tmp_path_factory.mktemp("moving") / "moving.mp4"
    return write_video(path, frames=144, fps=24, jitter_s=0.005)


@pytest.fixture(scope="module")
def engine(bundle: Path) -> Iterator[Engine]:
    """On one thread, as `tests.serving.config` has it."""
    use_threads(1)
    yield Engine.load(ModelSettings(path=str(bundle), device="cpu", backend=BackendName.TORCH))
    use_threads(0)


def replayed(engine: Engine, video: Path) -> list[Prediction]:
    recording = Recording(video, reading(engine, stride_s=STRIDE_S))
    return [prediction for prediction, _ in replay(recording)]


def live_lane(engine: Engine, video: Path) -> tuple[StreamSettings, Lane]:
    """What a daemon reads the file with that it plays at its own pace."""
    camera = StreamSettings("cam", str(video), pace=Pace.REALTIME)
    settings = Settings(streams=[camera], windows=WindowSettings(stride_s=STRIDE_S))
    lane = Lane(
        camera,
        LaneSettings.of(camera, settings, engine),
        number=0,
        epochs_before=0,
        boot_id="boot",
        next_event=itertools.count(1).__next__,
        clock=ManualClock(),
    )
    return camera, lane


def test_the_inference_worker_gives_the_very_bits_of_the_replay(
    engine: Engine, moving: Path
) -> None:
    camera, lane = live_lane(engine, moving)
    assembler, clock = lane.assembler(), ManualClock()
    backlog, online, done = Backlog(), list[Prediction](), threading.Semaphore(0)

    def take(prediction: Prediction) -> None:
        online.append(prediction)
        done.release()

    worker = InferenceWorker(
        scorer_of=lambda _window: engine.backend,
        backlog=backlog,
        max_batch=8,
        clock=clock,
        on_prediction=take,
        on_batch=lambda _size, _seconds: None,
        on_end=lambda _error: None,
    )
    worker.start()
    for frame in open_source(camera, CaptureSettings(), clock).frames(threading.Event()):
        for window in assembler.push(frame):
            backlog.put(window, lossless=False, cancelled=threading.Event())
            assert done.acquire(timeout=PATIENCE_S)  # the daemon keeps up
    backlog.close()
    assert worker.join(PATIENCE_S)

    offline = replayed(engine, moving)
    assert [place(one.window) for one in offline] == [place(one.window) for one in online]
    assert len(offline) > 8
    for mine, theirs in zip(offline, online, strict=True):
        assert np.array_equal(mine.window.clip, theirs.window.clip)
        assert mine.scores.tobytes() == theirs.scores.tobytes()


def place(window: Window) -> tuple[object, ...]:
    return window.stream_epoch, window.start_s, window.end_s, window.coverage


def test_batches_change_no_more_than_the_last_bits(engine: Engine, moving: Path) -> None:
    alone: npt.NDArray[np.float32] = np.array([one.scores for one in replayed(engine, moving)])
    settings = reading(engine, stride_s=STRIDE_S)
    (batched,) = predictions([moving], settings, batch_size=5, output="probabilities")
    assert isinstance(batched, VideoPrediction)
    rows = np.array([window.answer for window in batched.windows])
    assert rows == pytest.approx(alone, abs=1e-6)


def test_a_daemon_at_the_recordings_own_pace_publishes_what_the_replay_has(
    engine: Engine, bundle: Path, moving: Path, tmp_path: Path
) -> None:
    streams = stream("cam", moving, pace='"realtime"', stride_s=str(STRIDE_S))
    with serving(config(tmp_path, streams, model=bundle)) as served:
        served.until_state("cam", "stopped")
        assert served.process.wait(PATIENCE_S) == 0
        served.drain()
    heard = served.of("cam")
    assert heard.predictions
    # Live windows begin with one of the first stride's frames, so that streams do not end theirs
    # at once.
    first_s = heard.predictions[0].start_s
    assert 0 <= first_s < STRIDE_S + 1 / 24 + 0.005

    def from_there() -> Generator[Frame, None, None]:
        yield from (f for f in frames_of(moving) if round(float(f.media_s or 0), 6) >= first_s)

    settings = reading(engine, stride_s=STRIDE_S)
    recording = Recording(moving, settings, frames=from_there)
    windows = replay(Recording(moving, settings, frames=from_there))
    payloads = [
        payload for one, _ in windows for payload in recording.report(one)[0]
    ] + recording.end()[0]
    offline = {one.start_s: one for one in payloads if isinstance(one, PredictionData)}
    for published in heard.predictions:
        mine = offline.pop(published.start_s)
        assert told(mine) == told(published)
    # A machine too busy may have dropped a window, as of any live stream; then events may differ.
    if not offline:
        ends = [e for e in payloads if isinstance(e, EventData) and e.transition == "end"]
        assert [told(event) for event in ends] == [told(e) for e in heard.whole_events()]


def told(payload: PredictionData | EventData) -> tuple[object, ...]:
    """All that does not depend on when the recording was played, or by whom."""
    if isinstance(payload, PredictionData):
        kept = (payload.stream_epoch, payload.start_s, payload.end_s, payload.coverage)
        return *kept, payload.top, payload.model, payload.model_hash, payload.backend
    scores = (payload.peak_score, payload.mean_score)
    return payload.label, payload.stream_epoch, payload.start_s, payload.end_s, *scores
