"""What a viewer is told: all at first, then what differs, and never more than is to be seen."""

import json
from base64 import b64decode
from typing import Any

import cv2
import numpy as np
import pytest

from streamcls.observe.page import Feed
from streamcls.observe.page.live import KEEP_MARKS
from tests.observe.fed import LABELS, Fed, HandClock, counts, event, picture


def told(feed: Feed) -> dict[str, Any]:
    message = feed.next()
    assert b"\n" not in message
    return dict(json.loads(message)) if message else {}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def fed(clock: HandClock) -> Fed:
    fed = Fed(["front", "yard"], clock=clock)
    fed.status("front", "up")
    return fed


def test_a_viewer_who_comes_is_told_all_and_then_only_what_differs(
    fed: Fed, clock: HandClock
) -> None:
    fed.predict("front", [0.1, 0.8, 0.05, 0.05])
    feed = fed.feed()
    first = told(feed)
    assert first["streams"] == ["front", "yard"]
    tiles = {tile["id"]: tile for tile in first["tiles"]}
    assert (tiles["front"]["state"], tiles["yard"]["state"]) == ("up", None)
    assert (tiles["front"]["label"], tiles["front"]["score"]) == ("pan_left", 0.8)
    assert tiles["front"]["latency_ms"] == 34.0
    assert told(feed) == {}
    fed.status("yard", "connecting")
    second = told(feed)
    assert [tile["id"] for tile in second["tiles"]] == ["yard"]
    assert second.keys() == {"now", "tiles"}


def test_a_sign_of_life_comes_where_there_is_nothing_to_say(fed: Fed, clock: HandClock) -> None:
    feed = fed.feed()
    told(feed)
    clock.now_s += 1
    told(feed)  # the first frame rates
    clock.now_s += 4
    assert told(feed) == {}
    clock.now_s += 1
    assert told(feed).keys() == {"now"}


def test_of_many_predictions_between_two_looks_the_newest_is_told(
    fed: Fed, clock: HandClock
) -> None:
    feed = fed.feed()
    told(feed)
    clock.now_s += 1
    for score in (0.7, 0.8, 0.9):
        fed.predict("front", [1 - score, 0, score, 0])
    tile = told(feed)["tiles"][0]
    assert (tile["label"], tile["score"]) == ("pan_right", 0.9)


def test_what_a_stream_that_is_down_showed_last_is_not_said_to_be_now(fed: Fed) -> None:
    fed.predict("front", [0.1, 0.8, 0.05, 0.05])
    fed.status("front", "backoff", reason="timeout", detail="no answer", retry_in_s=4.0, attempt=2)
    tile = told(fed.feed())["tiles"][0]
    assert (tile["label"], tile["score"], tile["latency_ms"]) == (None, None, None)
    assert (tile["state"], tile["reason"], tile["detail"]) == ("backoff", "timeout", "no answer")
    assert tile["retry_at"] == pytest.approx(tile["since"] + 4)


def test_the_label_that_opens_no_event_is_marked_as_such(fed: Fed) -> None:
    fed.predict("front", [0.9, 0.1, 0, 0])
    assert told(fed.feed())["tiles"][0]["background"] is True
    fed.predict("front", [0.1, 0.9, 0, 0])
    assert told(fed.feed())["tiles"][0]["background"] is False


def test_frame_rates_count_all_that_arrived_and_drops_all_that_was_lost(
    fed: Fed, clock: HandClock
) -> None:
    feed = fed.feed()
    told(feed)
    for second in range(1, 4):
        clock.now_s += 1
        fed.counts["front"] = counts(
            frames_decoded=10 * second,
            packets_skipped={"gop": 15 * second},
            windows_dropped={"newer": second},
            frames_dropped={"late": 2},
        )
        tile = told(feed)["tiles"][0]
    assert (tile["frames_per_s"], tile["dropped"]) == (25.0, 5)


def test_counters_are_read_once_a_second_for_all_viewers(clock: HandClock) -> None:
    fed = Fed(["cam"], clock=clock)
    reads: list[float] = []
    fed.sight.readings._read = lambda: reads.append(clock.now_s) or fed.counts  # type: ignore
    feeds = [fed.feed(), fed.feed()]
    for _ in range(20):
        for feed in feeds:
            feed.next()
        clock.now_s += 0.25
    assert len(reads) == 5


def test_the_journals_events_and_those_since_make_one_timeline(clock: HandClock) -> None:
    now = clock.utc_s()
    past = [
        ("front", event("b", "end", "covered", now, ago_s=60)),
        ("front", event("b", "start", "covered", now, ago_s=60)),
        ("front", event("a", "end", "pan_left", now, ago_s=600)),
        ("gone", event("z", "end", "pan_left", now, ago_s=600)),
    ]
    fed = Fed(["front"], clock=clock, past=past)
    feed = fed.feed()
    fed.event("front", "c", "start", "pan_left")
    marks = told(feed)["marks"]
    assert [(mark["id"], mark["end"] is None) for mark in marks["front"]] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]
    assert marks.keys() == {"front"}
    fed.event("front", "c", "end", "pan_left")
    (mark,) = told(feed)["marks"]["front"]
    assert (mark["id"], mark["reason"], mark["peak"]) == ("c", "label_off", 0.93)
    assert mark["end"] is not None


def test_a_flood_of_events_is_told_to_the_newest(fed: Fed) -> None:
    for number in range(3 * KEEP_MARKS):
        fed.event("front", f"e{number}", "end", "covered")
    marks = told(fed.feed())["marks"]["front"]
    assert [mark["id"] for mark in marks] == [
        f"e{n}" for n in range(2 * KEEP_MARKS, 3 * KEEP_MARKS)
    ]


def test_a_stream_that_is_taken_away_is_gone_and_one_that_comes_is_told(fed: Fed) -> None:
    feed = fed.feed()
    told(feed)
    fed.live.forget("front")
    fed.status("new", "connecting")
    message = told(feed)
    assert message["streams"] == ["yard", "new"]
    assert [tile["id"] for tile in message["tiles"]] == ["new"]
    fed.status("front", "connecting")  # another one of the same name
    assert [tile["id"] for tile in told(feed)["tiles"]] == ["front"]


def test_an_event_of_a_stream_that_is_served_no_more_makes_no_tile(fed: Fed) -> None:
    fed.event("long-gone", "x", "end", "covered")
    assert told(fed.feed())["streams"] == ["front", "yard"]


def pixels(jpeg: str) -> Any:
    data = np.frombuffer(b64decode(jpeg), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_the_newest_picture_is_told_once_a_second_and_made_once_for_all(
    fed: Fed, clock: HandClock
) -> None:
    feeds = [fed.feed(), fed.feed()]
    fed.predict("front", [1, 0, 0, 0], [picture(40), picture(200)])
    first, second = (told(feed)["pictures"]["front"] for feed in feeds)
    assert first == second
    assert abs(pixels(first).mean() - 200) < 3
    assert pixels(first).shape == (24, 32, 3)
    fed.predict("front", [1, 0, 0, 0], [picture(10)])
    assert "pictures" not in told(feeds[0])  # within the second
    clock.now_s += 1
    assert abs(pixels(told(feeds[0])["pictures"]["front"]).mean() - 10) < 3
    album = fed.live.streams["front"].album
    assert album.newest(fed.live.streams["front"].window, clock.now_s) is album._picture  # type: ignore


def test_nothing_is_encoded_while_nobody_looks(fed: Fed) -> None:
    fed.predict("front", [1, 0, 0, 0])
    assert fed.live.streams["front"].album._picture == b""


def test_without_thumbnails_no_picture_is_even_held(clock: HandClock) -> None:
    fed = Fed(["front"], clock=clock, pictures=False)
    fed.status("front", "up")
    fed.predict("front", [1, 0, 0, 0])
    assert fed.live.streams["front"].window is None
    assert "pictures" not in told(fed.feed())
    own = told(fed.feed("front"))["own"]
    assert "clip" not in own
    assert own["rows"]


def test_a_streams_own_view_has_its_clip_as_the_network_saw_it(fed: Fed, clock: HandClock) -> None:
    wide = picture(20)
    wide[:, 4:28] = 220  # the central square of 24 x 24
    feed = fed.feed("front")
    fed.predict("front", [1, 0, 0, 0], [picture(90), wide])
    message = told(feed)
    assert [tile["id"] for tile in message["tiles"]] == ["front"]
    assert "pictures" not in message
    clip = [pixels(one) for one in message["own"]["clip"]]
    assert [one.shape for one in clip] == [(24, 24, 3)] * 2
    assert clip[1].mean() > 215
    clock.now_s += 1
    later = picture(160)
    fed.predict("front", [1, 0, 0, 0], [wide, later])  # one of them is the same array
    album = fed.live.streams["front"].album
    kept = album._clip[1]
    told(feed)
    assert album._clip[0] is kept


def test_its_scores_come_whole_once_and_then_row_by_row(fed: Fed, clock: HandClock) -> None:
    fed.predict("front", [0.7, 0.3, 0.001, 0])
    feed = fed.feed("front")
    own = told(feed)["own"]
    assert own["curve"]["labels"] == list(LABELS)
    assert own["curve"]["on"] == [None, 0.6, 0.6, 0.8]
    assert own["curve"]["off"] == [None, 0.4, 0.4, 0.5]
    ((_, scores),) = own["rows"]
    assert scores == {"0": pytest.approx(0.7, abs=1e-3), "1": pytest.approx(0.3, abs=1e-3)}
    fed.predict("front", [0.6, 0.4, 0, 0])
    fed.predict("front", [0.5, 0.5, 0, 0])
    own = told(feed)["own"]
    assert "curve" not in own
    assert [row[1]["0"] for row in own["rows"]] == pytest.approx([0.6, 0.5], abs=1e-3)


def test_its_counters_come_by_name(fed: Fed, clock: HandClock) -> None:
    fed.counts["front"] = counts(windows=7, reconnects={"timeout": 3}, clock_offset_s=-0.5)
    figures = told(fed.feed("front"))["own"]["figures"]
    assert figures["windows"]["whole"] == "7"
    assert figures["connection"] == {"lost: timeout": "3", "camera's clock": "-0.50 s"}


def test_an_own_view_of_no_stream_tells_what_streams_there_are(fed: Fed) -> None:
    message = told(fed.feed("none"))
    assert message["streams"] == ["front", "yard"]
    assert message.keys() <= {"now", "streams", "problems"}
