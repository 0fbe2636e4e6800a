"""The board: what a person reads of the messages that came, on screens of any size."""

import io
import re
from datetime import datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import (
    EventData,
    Latency,
    Message,
    Payload,
    PredictionData,
    Score,
    StatusData,
    Writer,
    decode,
    encode,
    utc,
)
from streamcls.terminal import Board, event_line, follow, whole_events
from streamcls.terminal.layout import arrange
from streamcls.terminal.scores import Scores
from tests.pipeline.stubs import ManualClock

NOW = 1_700_001_000.0  # what ManualClock says
LABELS = ["still", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in"]
RED = "\x1b[1;31m"


def message(payload: Payload, stream: str = "yard", at: float = NOW) -> Message:
    return decode(*Writer("/test", "boot").encode(stream, payload, utc(at)).frames)


def status(state: str, since: float = NOW, **more: object) -> StatusData:
    return StatusData(state=state, since=utc(since), **more)  # type: ignore[arg-type]


def prediction(at: float = NOW, **scores: float) -> PredictionData:
    return PredictionData(
        stream_epoch=1,
        start_s=1.0,
        end_s=2.0,
        start_time=utc(at - 1),
        end_time=utc(at),
        coverage=1.0,
        top=[Score(label, LABELS.index(label), score) for label, score in scores.items()],
        latency=Latency(1, 2, 3, 4, 10),
        model="camera-motion",
        model_hash="ab" * 32,
    )


def event(transition: str, name: str = "e1", label: str = "pan_left", **more: object) -> EventData:
    return EventData(
        event_id=name,
        transition=transition,  # type: ignore[arg-type]
        label=label,
        index=LABELS.index(label),
        stream_epoch=1,
        peak_score=0.93,
        mean_score=0.8,
        start_s=4.2,
        end_s=8.1,
        start_time=utc(NOW - 65),
        end_time=utc(NOW - 61.1),
        reason="label_off" if transition == "end" else None,
    )


def board(*items: Message | Gap) -> Board:
    made = Board("test", ManualClock())
    for item in items:
        made.take(item)
    return made


def drawn(
    board: Board, width: int = 80, height: int = 24, silent_s: float = 0, *, styled: bool = False
) -> list[str]:
    """The lines on a screen of that size; none may be cut off or wrapped."""
    console = Console(
        width=width,
        height=height,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="standard",
    )
    console.print(board.render(width, height, silent_s), end="")
    lines = console.export_text(styles=styled).splitlines()
    assert len(lines) <= height
    return lines


def busy(streams: int) -> Board:
    """Every fourth stream has an open event, every fourth is down, the others are quiet."""
    made = board()
    for number in range(streams):
        name = f"cam{number}"
        if number % 4 == 3:
            made.take(message(status("backoff", reason="timeout", detail="no frame"), name))
            continue
        made.take(message(status("up"), name))
        scores = {label: 0.1 + 0.01 * LABELS.index(label) for label in LABELS[:5]}
        made.take(message(prediction(**scores), name))
        if number % 4 == 1:
            made.take(message(event("start", name), name))
    return made


def test_a_block_shows_state_and_scores_and_what_is_open_since_when_and_how_surely() -> None:
    lines = drawn(
        board(
            message(status("up", NOW - 7500)),
            message(prediction(pan_left=0.9, still=0.1)),
            message(event("start")),
        )
    )
    since = utc(NOW - 65).astimezone().strftime("%H:%M:%S")
    assert lines[0] == "test: 1 stream, 1 event open"
    assert lines[1] == "yard  up 2 h 5 min, latency 10 ms"
    assert re.fullmatch(r"  still +─* +─+ 0\.10", lines[2].replace("━", "─"))
    assert re.fullmatch(
        rf"  pan_left ━+─+ 0\.90  since {since} \(1 min 5 s\), peak 0\.93, mean 0\.80", lines[3]
    )


def test_a_bar_is_as_long_as_its_score() -> None:
    lines = drawn(board(message(status("up")), message(prediction(still=0.75, pan_left=0.25))))
    full, quarter = (lines[2].count("━"), lines[3].count("━"))
    whole = full + lines[2].count("─")
    assert (full, quarter) == (round(0.75 * whole), round(0.25 * whole))


def test_bars_keep_their_places_whichever_label_is_stronger() -> None:
    up = message(status("up"))
    one = drawn(board(up, message(prediction(still=0.8, tilt_up=0.1, pan_left=0.05))))
    other = drawn(board(up, message(prediction(tilt_up=0.8, pan_left=0.1, still=0.05))))
    places = [[line.split()[0] for line in lines[2:5]] for lines in (one, other)]
    assert places == [["still", "pan_left", "tilt_up"]] * 2


def test_a_label_that_leaves_the_top_k_keeps_its_bar_for_a_while_without_a_score() -> None:
    scores = Scores()
    scores.take(prediction(still=0.6, pan_left=0.4).top, utc(0))
    scores.take(prediction(still=0.9, zoom_in=0.01).top, utc(1))
    assert [(bar.label, bar.score) for bar in scores.shown(2, {})] == [
        ("still", 0.9),
        ("pan_left", None),
    ]
    scores.take(prediction(still=0.9, zoom_in=0.01).top, utc(120))
    assert [bar.label for bar in scores.shown(2, {})] == ["still", "zoom_in"]


TOPS = st.lists(
    st.dictionaries(st.sampled_from(LABELS), st.floats(0, 1), min_size=1, max_size=5),
    min_size=1,
    max_size=6,
)


@given(TOPS, st.integers(1, 6), st.sets(st.sampled_from(LABELS)))
def test_what_is_open_and_what_is_best_has_a_bar_in_the_models_order(
    tops: list[dict[str, float]], count: int, opened: set[str]
) -> None:
    scores = Scores()
    for second, top in enumerate(tops):
        scores.take(prediction(**top).top, utc(second))
    shown = scores.shown(count, {label: LABELS.index(label) for label in opened})
    labels = [bar.label for bar in shown]
    assert len(labels) <= count
    assert labels == sorted(set(labels), key=LABELS.index)
    assert opened <= set(labels) or set(labels) <= opened
    best = max(tops[-1].values())
    if len(opened) < count:
        assert best in [bar.score for bar in shown]
    assert all(bar.score == tops[-1].get(bar.label) for bar in shown)


def test_several_open_events_of_a_stream_are_all_told_however_little_room_there_is() -> None:
    made = board(message(status("up")), message(prediction(still=0.9, zoom_in=0.05)))
    for label in ("pan_left", "tilt_up", "tilt_down"):
        made.take(message(event("start", label, label)))
    assert sum("since" in line for line in drawn(made)) == 3
    assert drawn(made, height=6)[1].startswith("yard  up 0 s, latency 10 ms, 1 more open")
    assert re.match(r"yard up 0 s \+2 +pan_left ", drawn(made, height=4)[1])


def test_an_outage_is_as_old_as_its_first_attempt_and_hides_what_was_said_before() -> None:
    made = board(
        message(status("up", NOW - 9000)),
        message(prediction(still=0.9)),
        message(status("backoff", NOW - 725, reason="timeout", attempt=1)),
        message(status("connecting", NOW - 3, attempt=2)),
    )
    assert drawn(made)[1] == "yard  connecting down 12 min 5 s, attempt 2"
    made.take(message(status("backoff", NOW - 1, reason="timeout", detail="no frame", attempt=2)))
    lines = drawn(made)
    assert lines[0] == "test: 1 stream, 1 stream down"
    assert lines[1] == "yard  backoff down 12 min 5 s (timeout), attempt 2"
    assert lines[2] == "  no frame"
    assert "still" not in "".join(lines)
    made.take(message(status("up", NOW)))
    assert drawn(made)[:2] == ["test: 1 stream", "yard  up 0 s"]


def test_scores_that_are_no_longer_fresh_say_how_old_they_are() -> None:
    made = board(message(status("up")), message(prediction(still=0.9), at=NOW - 75))
    assert "scores 1 min 15 s old" in drawn(made)[1]


def test_an_event_has_one_line_of_news_which_its_end_brings_back_to_the_top() -> None:
    made = board(message(event("start", "e1")), message(event("start", "e2", "tilt_up")))
    made.take(message(event("update", "e1")))
    news = drawn(made)[-2:]
    assert ["tilt_up" in news[0], "pan_left" in news[1]] == [True, True], "an update is no news"
    assert all("still open" in line for line in news)
    made.take(message(event("end", "e1")))
    news = drawn(made)[-2:]
    assert re.search(r" - \S+ yard +pan_left +3\.9 s peak 0\.93 label_off$", news[0])
    assert "still open" in news[1]
    assert "test: 1 stream, 1 event open" in drawn(made)[0]


def test_a_gap_is_red_and_counted_and_ends_the_claim_that_events_are_open() -> None:
    made = board(message(event("start")))
    made.take(Gap("yard", "event", "boot", 101, 112, "expired"))
    lines = drawn(made, styled=True)
    told = next(line for line in lines if "missed 12 events of yard, 101 to 112: expired" in line)
    assert told.startswith(RED)
    assert f"{RED}, 1 gap" in lines[0]
    assert "open" not in lines[0]


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (Gap("a", "event", "b", 7, 7, "expired"), "missed 1 event of a, 7: expired"),
        (
            Gap("a", "prediction", "b", 7, 8, "unanswered"),
            "missed 2 predictions of a, 7 to 8: unanswered",
        ),
        (
            Gap("a", "event", "b", 7, None, "expired"),
            "missed events of a from 7 on, if there were any: expired",
        ),
    ],
)
def test_a_gap_is_told_as_exactly_as_it_is_known(gap: Gap, text: str) -> None:
    line = board().take(gap)
    assert line is not None
    assert line.plain.endswith(f"  {text}")


def test_silence_longer_than_heartbeats_is_said_in_red() -> None:
    assert drawn(board())[0] == "test: waiting for the daemon"
    made = board(message(status("up")))
    assert f"{RED}no word from the daemon for 16 s" in drawn(made, silent_s=16, styled=True)[0]
    line = made.take(Silence(16))
    assert line is not None
    assert "no word from the daemon for 16 s" in line.plain


def test_the_daemons_own_trouble_stands_in_red_until_a_newer_status_is_without_it() -> None:
    full = "the journal cannot be written: no space left on device"
    made = board(message(status("up", problems=[full])), message(status("up"), "old", NOW - 60))
    assert drawn(made, styled=True)[1] == f"{RED}{full}\x1b[0m"
    made.take(message(status("up", heartbeat=True), at=NOW + 5))
    assert full not in drawn(made)


def test_four_streams_on_a_small_terminal_have_three_bars_each_and_room_for_news() -> None:
    made = busy(4)
    for number in range(9):
        made.take(message(event("end", f"past{number}"), "cam0"))
    lines = drawn(made)
    rule = next(place for place, line in enumerate(lines) if "newest first" in line)
    assert sum("━" in line for line in lines[:rule]) == 3 * 3  # the fourth is down
    assert len(lines) - rule - 1 >= 5
    assert any(line.endswith("mean 0.80") for line in lines), "an open event's line is whole"


def test_sixteen_streams_on_a_small_terminal_have_a_line_each_in_the_order_of_their_names() -> None:
    lines = drawn(busy(16))
    assert [line.split()[0] for line in lines[1:17]] == [f"cam{number}" for number in range(16)]
    assert sum("since" in line for line in lines) == 4
    assert sum("backoff down" in line for line in lines) == 4


def test_where_not_all_fit_open_events_come_first_then_trouble_and_the_rest_is_counted() -> None:
    lines = drawn(busy(40))
    rule = next(place for place, line in enumerate(lines) if "newest first" in line)
    shown = lines[1 : rule - 1]
    assert ["since" in line for line in shown[:10]] == [True] * 10
    assert all("backoff down" in line for line in shown[10:])
    hidden = 40 - len(shown)
    assert f"and {hidden} more streams: 0 with open events" in lines[rule - 1]


def test_a_wide_terminal_has_columns_so_that_sixteen_streams_have_bars() -> None:
    lines = drawn(busy(16), width=160, height=50)
    assert sum(line.count(" 0.1") for line in lines) >= 3 * 12


@given(st.integers(0, 60), st.integers(20, 240), st.integers(4, 70))
def test_the_board_never_outgrows_the_screen(streams: int, width: int, height: int) -> None:
    picture = busy(streams).render(width, height)
    lines = picture.split("\n", allow_blank=True)
    assert len(lines) <= height
    assert max(line.cell_len for line in lines) <= width


@given(st.integers(1, 100), st.integers(1, 10), st.integers(20, 400), st.integers(1, 100))
def test_a_layout_fits_and_leaves_no_stream_out_that_has_room(
    streams: int, bars: int, width: int, height: int
) -> None:
    layout = arrange(streams, bars=bars, width=width, height=height)
    rows = -(-layout.streams // layout.columns)
    lines = rows * (1 + layout.bars) + (rows - 1 if layout.spaced else 0)
    assert lines + (layout.streams < streams) <= height
    if streams <= height:
        assert layout.streams == streams


@pytest.mark.parametrize(("height", "bars"), [(8, 0), (23, 0), (24, 2), (32, 3), (60, 5)])
def test_eight_streams_have_as_many_bars_as_fit_but_never_a_single_one(
    height: int, bars: int
) -> None:
    assert arrange(8, bars=5, width=80, height=height).bars == bars


def test_lines_for_pipes_leave_heartbeats_and_predictions_out() -> None:
    made = board()
    assert made.take(message(status("up", heartbeat=True))) is None
    assert made.take(message(prediction(still=0.9))) is None
    line = made.take(message(status("backoff", reason="timeout", retry_in_s=1.5)))
    assert line is not None
    assert "backoff timeout; again in 1.5 s" in line.plain
    line = made.take(message(event("end")))
    assert line is not None
    assert "end    pan_left" in line.plain
    assert "4.20 s to 8.10 s" in line.plain


class Scripted:
    """Stands in for a subscriber: hands out what it is given, then hears nothing for ever."""

    heard_s_ago = 0.0
    trouble = ""

    def __init__(self, *items: Message | Gap | ValueError) -> None:
        self._items = list(items)

    def receive(self, timeout_s: float | None = None) -> Message | Gap | None:
        if not self._items:
            self.heard_s_ago += timeout_s or 1.0
            return None
        item = self._items.pop(0)
        if isinstance(item, ValueError):
            raise item
        return item


def test_a_message_that_cannot_be_read_is_told_and_what_follows_is_still_shown() -> None:
    first, last = message(event("start")), message(event("end"))
    gap = Gap("yard", "event", "boot", 2, 3, "expired")
    scripted = Scripted(first, ValueError("an event message does not fit"), gap, last)
    console = Console(file=io.StringIO(), record=True, width=60)
    seen = follow(cast("Subscriber", scripted), board(), console, patience_s=30)
    assert list(seen) == [first, last], "and it ends when nothing was heard for so long"
    words = ("start", "skipped a message: an event message does not fit", "missed 2", "end")
    lines = console.export_text().splitlines()
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 4


def test_an_event_over_midnight_names_both_days() -> None:
    start = datetime(2026, 11, 22, 23, 59, 50).astimezone()
    whole = EventData(
        event_id="e",
        transition="end",
        label="pan_left",
        index=1,
        stream_epoch=1,
        peak_score=0.9,
        mean_score=0.8,
        start_s=0,
        start_time=start,
        end_time=start + timedelta(seconds=20),
        reason="stream_lost",
    )
    line = event_line("yard", whole, dated=True).plain
    assert line.startswith("2026-11-22 23:59:50 - 2026-11-23 00:00:10 yard ")
    assert line.endswith(" 20 s peak 0.90 stream_lost")


def test_whole_events_are_the_ended_ones_as_they_ended_and_then_the_open_ones() -> None:
    changes = [("start", "a"), ("start", "b"), ("update", "a"), ("start", "c"), ("end", "b")]
    bodies = [encode(message(event(transition, name))) for transition, name in changes]
    found = [(one.data.event_id, one.data.transition) for one in whole_events(bodies)]
    assert found == [("b", "end"), ("a", "update"), ("c", "start")]
