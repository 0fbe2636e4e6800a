"""The worker: one batch over many streams, in order, and an end the daemon hears of."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamcls.frames import Prediction, RgbClip
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import InferenceWorker
from tests.pipeline.stubs import ManualClock, window
from tests.pipeline.test_backlog import put


class Scorer:
    """Gives each clip its place in the batch as its only score."""

    def __init__(self, error: Exception | None = None) -> None:
        self.batches: list[int] = []
        self._error = error

    def scores(self, clips: Sequence[RgbClip]) -> npt.NDArray[np.float32]:
        if self._error:
            raise self._error
        self.batches.append(len(clips))
        return np.arange(len(clips), dtype=np.float32)[:, None]


def run(backlog: Backlog, scorer: Scorer) -> tuple[list[Prediction], list[BaseException | None]]:
    predictions: list[Prediction] = []
    ends: list[BaseException | None] = []
    worker = InferenceWorker(
        scorer_of=lambda window: scorer,
        backlog=backlog,
        max_batch=4,
        clock=ManualClock(),
        on_prediction=predictions.append,
        on_batch=lambda size, seconds: None,
        on_end=ends.append,
    )
    worker.start()
    assert worker.join(30)
    return predictions, ends


def test_windows_of_many_streams_go_in_one_batch_and_come_back_to_their_own() -> None:
    backlog, scorer = Backlog(), Scorer()
    for name in "abcde":
        put(backlog, window(name))
    backlog.close()
    predictions, ends = run(backlog, scorer)
    assert scorer.batches == [4, 1]
    assert [(p.window.stream, p.scores.tolist()) for p in predictions] == [
        ("a", [0]),
        ("b", [1]),
        ("c", [2]),
        ("d", [3]),
        ("e", [0]),
    ]
    assert ends == [None]


def test_a_note_is_called_after_the_windows_before_it_were_reported() -> None:
    backlog = Backlog()
    order: list[str] = []
    put(backlog, window("a"))
    backlog.note("a", lambda: order.append("note"))
    backlog.close()
    worker = InferenceWorker(
        scorer_of=lambda window: Scorer(),
        backlog=backlog,
        max_batch=4,
        clock=ManualClock(),
        on_prediction=lambda prediction: order.append("prediction"),
        on_batch=lambda size, seconds: None,
        on_end=lambda error: None,
    )
    worker.start()
    assert worker.join(30)
    assert order == ["prediction", "note"]


def test_an_error_in_the_network_ends_the_worker_and_is_told() -> None:
    backlog, error = Backlog(), RuntimeError("out of memory")
    put(backlog, window("a"))
    assert run(backlog, Scorer(error)) == ([], [error])
