"""Times as people write and read them: local, with seconds, and never more than they ask."""

import re
from datetime import datetime, timedelta

from streamcls.errors import ConfigError

_AGO = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def clock(time: datetime, *, dated: bool = False) -> str:
    """The local time of day, `12:03:04`, with the date before it where asked."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S")


def span(seconds: float) -> str:
    """How long something took, in its two largest units; tenths under a minute.

    >>> span(65), span(93_784), span(8.25)
    ('1 min 5 s', '1 d 2 h', '8.2 s')
    """
    seconds = max(0.0, seconds)
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts: list[str] = []
    for unit_s, name in _UNITS:
        count, left = divmod(left, unit_s)
        if count or parts:
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def parse_instant(text: str, now: datetime) -> datetime:
    """The instant that `1h30m` (so long before `now`) or `2026-11-22T12:03` (local time) names.

    Raises:
        ConfigError: it is neither, or lies beyond the calendar.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            days, hours, minutes, seconds = (int(part or 0) for part in ago.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{text!r} is no time; say how long ago, as 90s, 30m, 1h30m or 2d,"
            " or when, as 2026-11-22 or 2026-11-22T12:03:04"
        ) from None
