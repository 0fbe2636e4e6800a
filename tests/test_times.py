"""Times as people write and read them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.errors import ConfigError
from streamcls.terminal.times import parse_instant, span


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("1d1s", 86_401), ("0s", 0)],
)
def test_a_length_of_time_means_so_long_ago(text: str, ago: int) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert parse_instant(text, now) == now - timedelta(seconds=ago)


def test_a_written_time_is_local_unless_it_says_its_zone() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert parse_instant("2026-11-20T10:00:00Z", now) == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert parse_instant("2026-11-20", now) == datetime(2026, 11, 20).astimezone()


@pytest.mark.parametrize("text", ["", "1", "h", "1h 30m", "-1h", "1.5h", "9" * 20 + "d", "0001-01"])
def test_what_is_no_time_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(ConfigError, match="1h30m or 2d") as refusal:
        parse_instant(text, datetime(2026, 11, 22, tzinfo=UTC))
    assert repr(text) in str(refusal.value)


@given(st.floats(60, 1e9))
def test_a_span_names_its_two_largest_units_and_never_too_little_of_them(seconds: float) -> None:
    sizes = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    parts = [(int(number), unit) for number, unit in re.findall(r"(\d+) (\w+)", span(seconds))]
    told = sum(number * sizes[unit] for number, unit in parts)
    largest = sizes[parts[0][1]]
    assert told <= round(seconds) < told + max(1, largest // 24)
    assert len(parts) <= 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (8.25, "8.2 s"), (59.96, "1 min"), (65, "1 min 5 s"), (93_784, "1 d 2 h")],
)
def test_spans_read_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text
