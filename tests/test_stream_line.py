"""One stream's feeding side: what it tells of breaks, and lanes that take over without a gap."""

import itertools
from fractions import Fraction

import pytest

from streamcls.config import CaptureSettings, Settings, StreamSettings, WindowSettings
from streamcls.engine import Engine
from streamcls.frames import Window
from streamcls.lane import Lane, LaneSettings
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import load_bundle
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.opening import OpeningTurns
from streamcls.stream_line import StreamLine
from tests.models.small import write_small
from tests.pipeline.stubs import ManualClock, frame, undecoded

STREAM = StreamSettings("yard", "rtsp://yard/1")
STRIDE_S = Fraction(1, 2)
SPAN_S = Fraction(3, 10)  # 4 frames, 0.1 s apart


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    model = load_bundle(path)
    return Engine(model, TorchBackend(model))


class Yard:
    """A stream line fed by hand, and all that it told."""

    def __init__(self, engine: Engine, seat: int | None = None) -> None:
        self.engine = engine
        self.seat = seat
        self.clock = ManualClock(1.0)
        self.backlog = Backlog(self.clock)
        self.windows: list[Window] = []
        self.lost = 0
        self.over: list[int] = []
        self._numbers = itertools.count()
        self.line = StreamLine(
            STREAM,
            CaptureSettings(),
            self.lane(0),
            backlog=self.backlog,
            turns=OpeningTurns(1),
            clock=self.clock,
            on_status=lambda line, status: None,
            on_lost=self._lose,
            on_lane_over=lambda line, lane: self.over.append(lane.number),
            on_end=lambda line: None,
        )

    def lane(self, epochs_before: int) -> Lane:
        settings = Settings(streams=[STREAM], windows=WindowSettings(stride_s=float(STRIDE_S)))
        return Lane(
            STREAM,
            LaneSettings.of(STREAM, settings, self.engine),
            number=next(self._numbers),
            epochs_before=epochs_before,
            boot_id="boot",
            next_event=itertools.count(1).__next__,
            clock=self.clock,
            seat=self.seat,
        )

    def feed(self, *times: Fraction) -> None:
        for media_s in times:
            self.line.feed(frame(media_s, arrival_s=float(media_s)))
            while waiting := self.backlog.take(10, 0):
                self.windows += [item for item in waiting if isinstance(item, Window)]

    def offer(self) -> None:
        self.line.offer(self.lane(self.line.epochs))

    def _lose(self, line: StreamLine) -> None:
        self.lost += 1


@pytest.fixture
def yard(engine: Engine) -> Yard:
    return Yard(engine)


def at(first: int, last: int) -> list[Fraction]:
    """Frame times at 25 a second."""
    return [Fraction(i, 25) for i in range(first, last)]


def test_a_jump_in_time_is_told_at_once_and_not_with_the_next_window(yard: Yard) -> None:
    yard.feed(*at(0, 25))
    assert (yard.lost, len(yard.windows)) == (0, 2)
    yard.feed(Fraction(500))
    assert yard.lost == 1


def test_under_overload_a_line_says_its_stride_and_withdraws_what_has_waited_too_long(
    engine: Engine,
) -> None:
    yard = Yard(engine, seat=3)
    assert yard.line.counts().stride_s == 0.5
    for media_s in at(0, 250):  # and nobody takes what waits in the backlog
        yard.clock.now_s = float(media_s)
        yard.line.feed(frame(media_s, arrival_s=float(media_s)))
    counts = yard.line.counts()
    assert counts.stride_s > 0.5
    assert counts.windows_dropped["late"] > 1
    assert counts.windows_dropped["behind"] > 1
    assert sum(counts.windows_dropped.values()) + counts.windows >= 250 / 25 / 0.5 - 3


def test_a_lane_takes_over_with_its_first_window_and_the_old_one_goes_on_until_then(
    yard: Yard,
) -> None:
    yard.feed(*at(0, 30))
    yard.offer()
    yard.feed(*at(30, 80))
    lanes = [window.lane for window in yard.windows]
    assert lanes == sorted(lanes)
    assert set(lanes) == {0, 1}
    assert yard.over == [0]
    ends = [window.end_s for window in yard.windows]
    assert all(b - a <= STRIDE_S + Fraction(1, 25) for a, b in itertools.pairwise(ends))
    # The new grid is another stretch of time to subscribers, but nothing was lost in between.
    assert [window.stream_epoch for window in yard.windows] == [1 + lane for lane in lanes]
    assert yard.lost == 0
    assert yard.line.counts().windows == len(yard.windows)


def test_pictures_are_needed_if_either_lane_needs_them_and_a_lane_begins_with_one(
    yard: Yard,
) -> None:
    yard.feed(*at(0, 34))
    needs = yard.line._needs
    pause = Fraction(34, 25), Fraction(37, 25)  # between the window up to 1.3 s and the next
    assert not needs(*pause)
    yard.offer()
    assert needs(*pause), "it may begin anywhere"
    for media_s in at(34, 37):
        yard.line.feed(undecoded(media_s))
    yard.feed(*at(37, 80))
    first = next(window for window in yard.windows if window.lane == 1)
    assert first.start_s == Fraction(37, 25)
    assert not needs(first.end_s + Fraction(1, 20), first.start_s + Fraction(1, 2))
    assert "undecoded" not in yard.line.counts().windows_dropped


@pytest.mark.parametrize("frames_between", [0, 1, 7, 20])
def test_of_lanes_offered_in_a_row_the_last_takes_over(yard: Yard, frames_between: int) -> None:
    yard.feed(*at(0, 30))
    yard.offer()
    yard.feed(*at(30, 30 + frames_between))
    yard.offer()
    yard.feed(*at(30 + frames_between, 100))
    assert yard.windows[-1].lane == 2
    assert sorted(yard.over) == [0, 1]  # none is kept, whether or not it had its turn
    ends = [window.end_s for window in yard.windows]
    assert all(b - a <= STRIDE_S + Fraction(1, 25) for a, b in itertools.pairwise(ends))


def test_where_no_frames_flow_a_lane_takes_over_at_once(yard: Yard) -> None:
    yard.offer()
    assert (yard.line.lane.number, yard.over) == (1, [0])
    yard.feed(*at(0, 30))
    assert {window.lane for window in yard.windows} == {1}


def test_a_lane_on_offer_when_the_camera_goes_is_the_one_it_comes_back_to(yard: Yard) -> None:
    yard.feed(*at(0, 30))
    yard.offer()
    yard.feed(*at(30, 32))
    yard.line._disconnected("yard", "timeout")
    assert (yard.line.lane.number, yard.over, yard.lost) == (1, [0], 1)
    seen = len(yard.windows)
    yard.feed(*at(33, 60))  # the camera's own time goes on, and no window may span the break
    assert all(window.start_s >= Fraction(33, 25) for window in yard.windows[seen:])
    yard.feed(*at(100, 130))
    assert {window.lane for window in yard.windows[seen:]} == {1}


def test_a_jump_while_two_lanes_read_is_told_once(yard: Yard) -> None:
    yard.feed(*at(0, 30))
    yard.offer()
    yard.feed(*at(30, 33), *at(1000, 1030))
    assert yard.lost == 1
