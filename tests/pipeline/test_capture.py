"""A stream is kept alive by one handler: what it says, how long it waits, when it gives up."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceRefused, SourceTimeout, UnusableSource
from streamcls.events import StatusData
from streamcls.frames import Frame
from streamcls.pipeline.capture import Capture
from streamcls.pipeline.opening import OpeningTurns, backoff_s
from tests.pipeline.stubs import ManualClock, frame

_CAMERA = StreamSettings(id="cam", url="rtsp://user:secret@camera/live")
_FILE = StreamSettings(id="clip", url="/videos/clip.mp4")
_LIMITS = CaptureSettings()

Step = float | Exception | Callable[[], None]
"""A frame so many seconds after the one before, an error to raise, or something to do."""


@dataclass
class ScriptedSource:
    steps: Iterable[Step]
    clock: ManualClock
    decode_errors: int = 0
    packets_skipped: Counter[str] = field(default_factory=Counter)
    closed: bool = False

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    step()
                    continue
                self.clock.now_s += step
                if stop.is_set():
                    return
                yield frame(None, arrival_s=self.clock.now_s)
        finally:
            self.closed = True


@dataclass
class Run:
    """A capture over scripts, one for each attempt, and all that it told."""

    settings: StreamSettings
    scripts: Iterator[Iterable[Step]]
    window_after: int = 3
    clock: ManualClock = field(default_factory=ManualClock)
    on_frame: Callable[[Frame], bool] | None = None
    unchanged_s: Callable[[], float] = lambda: 0.0
    limits: CaptureSettings = _LIMITS
    statuses: list[StatusData] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    sources: list[ScriptedSource] = field(default_factory=list)
    ended: list[tuple[str, BaseException | None]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    frames_since_loss: int = 0

    def __post_init__(self) -> None:
        self.capture = Capture(
            self.settings,
            self.limits,
            open_source=self._open,
            turns=OpeningTurns(1),
            on_frame=self.on_frame or self._take,
            on_status=self._note,
            on_lost=self._lose,
            on_fault=lambda stream, error: self.faults.append(error),
            on_end=lambda stream, error: self.ended.append((stream, error)),
            clock=self.clock,
            random=Random(1),
            unchanged_s=self.unchanged_s,
        )

    def to_the_end(self) -> "Run":
        self.capture.start()
        assert self.capture.join(20)
        return self

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.statuses]

    def _open(self) -> ScriptedSource:
        self.sources.append(ScriptedSource(next(self.scripts), self.clock))
        return self.sources[-1]

    def _take(self, frame: Frame) -> bool:
        self.frames_since_loss += 1
        return self.frames_since_loss >= self.window_after

    def _note(self, stream: str, status: StatusData) -> None:
        assert stream == self.settings.id
        self.statuses.append(status)
        self.told.append(status.state)

    def _lose(self, stream: str, reason: str) -> None:
        assert stream == self.settings.id
        self.frames_since_loss = 0
        self.told.append(f"lost: {reason}")


def _run(settings: StreamSettings, *scripts: Iterable[Step], window_after: int = 3) -> Run:
    """Run scripts one after the other; the last ends the capture by `stop` or by itself."""
    return Run(settings, iter(scripts), window_after).to_the_end()


def _until_stopped(settings: StreamSettings, *scripts: list[Step]) -> Run:
    run = Run(settings, iter([]))
    *others, last = scripts
    run.scripts = iter([*others, [*last, run.capture.stop, 0.0]])
    return run.to_the_end()


def test_a_file_warms_up_plays_and_stops_at_its_end() -> None:
    run = _run(_FILE, [0.1] * 5)
    assert run.told == ["connecting", "warming_up", "up", "lost: end_of_file", "stopped"]
    assert run.statuses[-1].reason == "end_of_file"
    assert run.capture.stats.frames_decoded == 5
    assert run.ended == [("clip", None)]


def test_only_a_decoded_frame_means_up() -> None:
    run = _until_stopped(_CAMERA, [SourceTimeout("silent")], [])
    assert run.states == ["connecting", "backoff", "connecting", "stopped"]
    assert not any(told.startswith("lost") for told in run.told)


def test_a_lost_connection_is_told_before_its_status_and_tried_again() -> None:
    gone = SourceError("camera closed the connection", reason="disconnected")
    run = _until_stopped(_CAMERA, [0.1, 0.1, 0.1, gone], [0.1])
    assert run.told == [
        *("connecting", "warming_up", "up", "lost: disconnected", "backoff"),
        *("connecting", "warming_up", "lost: stopped", "stopped"),
    ]
    backoff = run.statuses[3]
    assert (backoff.reason, backoff.attempt) == ("disconnected", 1)
    assert backoff.detail == "camera closed the connection"
    assert 0.5 <= (backoff.retry_in_s or 0) <= 1.0
    assert run.capture.stats.reconnects == {"disconnected": 1}


def test_pauses_grow_until_frames_have_flowed_for_half_a_minute() -> None:
    fail: list[Step] = [SourceTimeout("silent")]
    briefly: list[Step] = [0.1, 29.0, *fail]
    long_enough: list[Step] = [0.1, 29.0, 1.5, *fail]
    run = _until_stopped(_CAMERA, fail, fail, briefly, long_enough, fail, [])
    assert [s.attempt for s in run.statuses if s.state == "backoff"] == [1, 2, 3, 1, 2]


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_is_within_its_bounds(attempt: int, seed: int) -> None:
    limits = CaptureSettings(backoff_min_s=0.25, backoff_max_s=20.0)
    pause_s = backoff_s(attempt, limits, Random(seed))
    assert 0.25 <= pause_s <= min(20.0, 0.25 * 2 ** min(attempt, 64))


def test_pauses_differ_between_streams_that_failed_together() -> None:
    assert len({backoff_s(4, _LIMITS, Random(seed)) for seed in range(20)}) == 20


@pytest.mark.parametrize("error", [SourceRefused("no"), UnusableSource("no video")])
def test_a_camera_that_says_no_is_asked_again_slowly(error: SourceError) -> None:
    run = _until_stopped(_CAMERA, [error], [error], [])
    pauses = [status.retry_in_s for status in run.statuses if status.state == "backoff"]
    assert pauses == [_LIMITS.refused_retry_s] * 2


@pytest.mark.parametrize(
    "error", [UnusableSource("not a video"), SourceError("cut off", reason="truncated")]
)
def test_a_file_that_cannot_be_played_has_failed_for_good(error: SourceError) -> None:
    run = _run(_FILE, [0.1, error])
    assert run.told == ["connecting", "warming_up", f"lost: {error.reason}", "failed"]
    assert run.capture.error is error
    assert run.ended == [("clip", error)]


def test_a_file_that_is_not_there_yet_is_waited_for() -> None:
    run = _run(_FILE, [SourceError("missing", reason="missing")], [0.1])
    assert run.states == ["connecting", "backoff", "connecting", "warming_up", "stopped"]


def test_stop_while_waiting_to_retry_ends_at_once() -> None:
    waiting = threading.Event()

    class BlockingClock(ManualClock):
        def wait(self, event: threading.Event, seconds: float) -> bool:
            waiting.set()
            return event.wait(60)

    run = Run(_CAMERA, iter([[SourceRefused("no")]]), clock=BlockingClock())
    run.capture.start()
    assert waiting.wait(20)
    run.capture.stop()
    run.capture.stop()
    assert run.capture.join(20)
    assert run.states == ["connecting", "backoff", "stopped"]


def test_stopped_before_it_starts_it_opens_nothing() -> None:
    run = Run(_CAMERA, iter([]))
    run.capture.stop()
    assert run.to_the_end().states == ["stopped"]


def test_silence_is_stale_until_frames_return() -> None:
    run = Run(_CAMERA, iter([]))

    def after(seconds: float) -> Callable[[], None]:
        def check() -> None:
            run.clock.now_s += seconds
            run.capture.check_stale(run.clock.now_s)

        return check

    run.scripts = iter([[0.1, 0.1, 0.1, after(2.9), after(0.2), after(1), 0.1, run.capture.stop]])
    run.to_the_end()
    assert run.states == ["connecting", "warming_up", "up", "stale", "up", "stopped"]
    assert run.statuses[3].reason == "no_frames"


def test_a_slow_camera_is_not_stale_between_its_frames() -> None:
    run = Run(_CAMERA, iter([]))

    def check() -> None:
        run.capture.check_stale(run.clock.now_s + 5)

    run.scripts = iter([[*([1.0] * 20), check, run.capture.stop]])
    assert "stale" not in run.to_the_end().states


def test_a_picture_that_stands_still_for_too_long_is_stale_until_it_moves() -> None:
    still_s = iter([0.0, 1.0, 9.9, 10.0, 11.0, 0.0, 1.0, 0.0])
    run = Run(
        _CAMERA,
        iter([]),
        window_after=1,
        limits=CaptureSettings(frozen_after_s=10),
        unchanged_s=lambda: next(still_s),
    )
    run.scripts = iter([[*([0.1] * 7), run.capture.stop, 0.1]])
    run.to_the_end()
    assert run.states == ["connecting", "warming_up", "up", "stale", "up", "stopped"]
    assert run.statuses[3].reason == "frozen"
    assert run.told.count("lost: stopped") == 1


def test_a_picture_that_stood_still_before_the_first_window_stays_stale() -> None:
    run = Run(
        _CAMERA,
        iter([]),
        window_after=3,
        limits=CaptureSettings(frozen_after_s=1),
        unchanged_s=lambda: 5.0,
    )
    run.scripts = iter([[*([0.1] * 6), run.capture.stop, 0.1]])
    assert run.to_the_end().states == ["connecting", "warming_up", "stale", "stopped"]


def test_a_picture_may_stand_still_where_nobody_asked_to_watch_it() -> None:
    run = Run(_CAMERA, iter([]), window_after=1, unchanged_s=lambda: 1e6)
    run.scripts = iter([[0.1, 0.1, run.capture.stop]])
    assert "stale" not in run.to_the_end().states


def test_time_spent_by_the_consumer_is_not_the_sources_silence() -> None:
    def busy(frame: Frame) -> bool:
        run.clock.now_s += 60
        run.capture.check_stale(run.clock.now_s)
        return True

    run = Run(_FILE, iter([[0.1, 0.1]]), on_frame=busy)
    assert "stale" not in run.to_the_end().states


def test_a_bug_met_by_a_file_ends_it_visibly() -> None:
    def broken(frame: Frame) -> bool:
        raise ZeroDivisionError("in\nthe consumer of rtsp://user:secret@camera/live")

    run = Run(_FILE, iter([[0.1] * 3]), on_frame=broken).to_the_end()
    assert [type(error) for error in run.faults] == [ZeroDivisionError]
    assert run.told == ["connecting", "warming_up", "lost: internal_error", "failed"]
    detail = run.statuses[-1].detail
    assert detail == "ZeroDivisionError: in the consumer of rtsp://***@camera/live"
    assert isinstance(run.capture.error, ZeroDivisionError)
    assert run.sources[0].closed


def test_a_bug_met_by_a_camera_is_told_and_its_next_connection_tried() -> None:
    seen: list[Frame] = []

    def broken_once(frame: Frame) -> bool:
        seen.append(frame)
        if len(seen) == 1:
            raise ZeroDivisionError("one freak frame")
        run.capture.stop()
        return True

    run = Run(_CAMERA, iter([[0.1] * 3, [0.1] * 3]), on_frame=broken_once)
    run.to_the_end()
    assert run.told[:5] == [
        "connecting",
        "warming_up",
        "lost: internal_error",
        "backoff",
        "connecting",
    ]
    assert [type(error) for error in run.faults] == [ZeroDivisionError]
    assert run.capture.error is None


def test_credentials_never_reach_a_status() -> None:
    leaky = SourceError("cannot open rtsp://user:secret@camera/live?password=secret")
    run = _until_stopped(_CAMERA, [leaky], [])
    assert run.statuses[1].detail == "cannot open rtsp://***@camera/live?password=***"


def test_decode_errors_add_up_over_connections() -> None:
    run = Run(_CAMERA, iter([]))
    seen: list[int] = []

    def corrupt() -> None:
        run.sources[-1].decode_errors += 2
        seen.append(run.capture.stats.decode_errors)

    run.scripts = iter([[0.1, corrupt, SourceTimeout("silent")], [corrupt, run.capture.stop, 0.0]])
    run.to_the_end()
    assert seen == [2, 4]
    assert run.capture.stats.decode_errors == 4


def test_skipped_packets_add_up_over_connections() -> None:
    run = Run(_CAMERA, iter([]))
    seen: list[Counter[str]] = []

    def skip() -> None:
        run.sources[-1].packets_skipped["gop"] += 2
        seen.append(run.capture.stats.packets_skipped)

    run.scripts = iter([[0.1, skip, SourceTimeout("silent")], [skip, run.capture.stop, 0.0]])
    run.to_the_end()
    assert [counts["gop"] for counts in seen] == [2, 4]
    assert run.capture.stats.packets_skipped == {"gop": 4}


def test_the_thread_is_named_after_its_stream() -> None:
    names: list[str] = []
    run = Run(_FILE, iter([[lambda: names.append(threading.current_thread().name)]]))
    run.to_the_end()
    assert names == ["capture-clip"]


def test_one_streams_failure_leaves_another_alone() -> None:
    failing = Run(_FILE, iter([[UnusableSource("no")]]))
    well = Run(_CAMERA, iter([]))
    well.scripts = iter([[0.1, failing.to_the_end, 0.1, well.capture.stop, 0.0]])  # type: ignore[list-item]
    well.to_the_end()
    assert failing.states == ["connecting", "failed"]
    assert well.states == ["connecting", "warming_up", "stopped"]
    assert well.capture.stats.frames_decoded == 2


def test_a_capture_gives_way_to_all_other_threads() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    seen: list[int] = []

    def look() -> None:
        seen.append(nice())

    Run(_FILE, iter([[look]])).to_the_end()
    assert seen == [nice() + 5]
