"""The worker: one batch over many streams, in order, and an end the daemon hears of."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streamcls.frames import Prediction, RgbClip, Window
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import Ahead, InferenceWorker, Item
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


class Device(Scorer):
    """A scorer beside the host, which remembers what was asked of it in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[str] = []

    def begin(self, clips: Sequence[RgbClip]) -> Callable[[], npt.NDArray[np.float32]]:
        number, scores = len(self.batches), self.scores(clips)
        self.acts.append(f"begin {number}")

        def wait() -> npt.NDArray[np.float32]:
            self.acts.append(f"wait {number}")
            return scores

        return wait


class Script:
    """A backlog that gives what it is told, each some time after it was asked for."""

    def __init__(self, clock: ManualClock, *steps: tuple[float, list[Item]]) -> None:
        self._clock = clock
        self._steps = list(steps)
        self.timeouts_s: list[float] = []

    def take(self, max_items: int, timeout_s: float) -> list[Item] | None:
        self.timeouts_s.append(round(timeout_s, 6))
        if not self._steps:
            return None
        after_s, items = self._steps[0]
        if after_s > timeout_s:  # not yet
            self._clock.now_s += timeout_s
            self._steps[0] = (after_s - timeout_s, items)
            return []
        self._clock.now_s += after_s
        self._steps.pop(0)
        return items[:max_items]


def closed(stream: str, at_s: float) -> Window:
    return replace(window(stream), closed_monotonic_s=at_s)


def played(
    script: Script,
    scorer: Scorer,
    clock: ManualClock,
    *,
    max_wait_s: float = 0.002,
    on_prediction: Callable[[Prediction], None] = lambda prediction: None,
) -> None:
    worker = InferenceWorker(
        scorer_of=lambda window: scorer,
        backlog=script,
        max_batch=4,
        max_wait_s=max_wait_s,
        clock=clock,
        on_prediction=on_prediction,
        on_batch=lambda size, seconds: None,
        on_end=lambda error: None,
    )
    worker.start()
    assert worker.join(30)
    assert worker.error is None


def test_windows_that_come_within_the_wait_share_a_batch() -> None:
    clock, scorer = ManualClock(), Device()
    now_s = clock.now_s
    script = Script(
        clock,
        (0.0, [closed("a", now_s)]),
        (0.0015, [closed("b", now_s + 0.0015)]),
        (0.001, [closed("c", now_s + 0.0025)]),
        (0.5, [closed("d", now_s + 0.5)]),
    )
    played(script, scorer, clock)
    # The third came after the first had waited for 2 ms; it waits for 2 ms of its own.
    assert scorer.batches == [2, 1, 1]
    assert script.timeouts_s[:3] == [1.0, 0.002, 0.0005]


def test_a_full_batch_waits_no_longer() -> None:
    clock, scorer = ManualClock(), Device()
    now_s = clock.now_s
    script = Script(
        clock,
        (0.0, [closed("a", now_s), closed("b", now_s)]),
        (0.0, [closed("c", now_s), closed("d", now_s)]),
    )
    played(script, scorer, clock)
    assert scorer.batches == [4]
    assert script.timeouts_s[1:2] == [0.002]
    assert clock.now_s == now_s


def test_a_window_that_has_waited_already_waits_no_more() -> None:
    clock, scorer = ManualClock(), Device()
    script = Script(clock, (0.0, [closed("a", clock.now_s - 0.01)]))
    played(script, scorer, clock)
    assert script.timeouts_s == [1.0, 0.0, 1.0]


def test_where_the_host_computes_nothing_waits() -> None:
    clock, scorer = ManualClock(), Scorer()
    assert not isinstance(scorer, Ahead)
    now_s = clock.now_s
    script = Script(clock, (0.0, [closed("a", now_s)]), (0.0005, [closed("b", now_s)]))
    played(script, scorer, clock, max_wait_s=1.0)
    assert scorer.batches == [1, 1]
    assert script.timeouts_s == [1.0, 1.0, 1.0]


def test_a_note_waits_for_nobody() -> None:
    clock, scorer = ManualClock(), Device()
    noted: list[str] = []
    script = Script(clock, (0.0, [closed("a", clock.now_s), lambda: noted.append("note")]))
    played(script, scorer, clock)
    assert noted == ["note"]
    assert script.timeouts_s == [1.0, 0.0, 1.0]


def test_a_device_has_its_next_batch_before_the_scores_of_the_last_are_waited_for() -> None:
    clock, scorer = ManualClock(), Device()
    told: list[str] = []
    script = Script(
        clock,
        (0.0, [closed("a", 0.0)]),
        (0.0, [closed("b", 0.0), lambda: told.append("note")]),
        (0.0, [closed("c", 0.0)]),
        (0.5, [closed("d", 0.0)]),
    )
    played(script, scorer, clock, on_prediction=lambda one: told.append(one.window.stream))
    assert scorer.acts == [
        *("begin 0", "begin 1", "wait 0", "begin 2", "wait 1", "wait 2"),
        *("begin 3", "wait 3"),  # nothing had come: the scores were not kept back for it
    ]
    assert told == ["a", "b", "note", "c", "d"]
