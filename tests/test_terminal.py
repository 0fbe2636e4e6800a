"""The board: what a person reads of the messages that came."""

import io

from rich.console import Console

from streamcls.events import EventData, Message, StatusData, Writer, decode, utc
from streamcls.terminal import Board
from tests.test_events import PAYLOADS

WRITER = Writer("/test", "boot")


def message(payload: object, stream: str = "yard") -> Message:
    return decode(*WRITER.encode(stream, payload, utc(1e9)))  # type: ignore[arg-type]


def event(transition: str) -> EventData:
    return EventData(
        event_id="e1",
        transition=transition,  # type: ignore[arg-type]
        label="pan_left",
        index=1,
        stream_epoch=1,
        peak_score=0.93,
        mean_score=0.8,
        start_s=4.2,
        end_s=8.1,
        start_time=utc(1e9),
        end_time=utc(1e9 + 4),
        reason="label_off" if transition == "end" else None,
    )


def drawn(board: Board) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(board.render())
    return console.export_text()


def test_the_board_shows_state_label_score_and_the_open_event() -> None:
    board = Board("test")
    board.take(message(StatusData(state="up", since=utc(1e9))))
    board.take(message(PAYLOADS[1]))
    board.take(message(event("start")))
    picture = drawn(board)
    for text in ("yard", "up", "pan_left", "0.90", "pan_left since", "10 ms"):
        assert text in picture


def test_a_stream_that_is_down_shows_why_and_no_old_label() -> None:
    board = Board("test")
    board.take(message(PAYLOADS[1]))
    board.take(message(PAYLOADS[0]))
    picture = drawn(board)
    assert "backoff (timeout)" in picture
    assert "pan_left" not in picture


def test_an_ended_event_leaves_the_row_and_stays_in_the_list() -> None:
    board = Board("test")
    for transition in ("start", "update", "end"):
        board.take(message(event(transition)))
    picture = drawn(board)
    assert "pan_left since" not in picture
    assert picture.count("peak 0.93") == 2, "start and end; updates are not news"
    assert "label_off" in picture


def test_lines_for_pipes_leave_heartbeats_and_predictions_out() -> None:
    board = Board("test")
    assert board.take(message(StatusData(state="up", since=utc(1e9), heartbeat=True))) is None
    assert board.take(message(PAYLOADS[1])) is None
    line = board.take(message(PAYLOADS[0]))
    assert line is not None
    assert "backoff timeout; again in 1.5 s" in line.plain
    line = board.take(message(event("end")))
    assert line is not None
    assert "end    pan_left" in line.plain
    assert "4.20 s to 8.10 s" in line.plain


def test_silence_longer_than_heartbeats_is_said() -> None:
    board = Board("test")
    assert "waiting for the daemon" in drawn(board)
    board.take(message(StatusData(state="up", since=utc(1e9))))
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(board.render(silent_s=16))
    assert "no word from the daemon for 16 s" in console.export_text()
