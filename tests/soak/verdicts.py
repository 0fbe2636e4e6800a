"""What a soak's figures say: leaks, losses, drift. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must hold, what was found, and whether it does."""

    name: str
    found: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Slope:
    """A least-squares line's slope with its standard error, per hour."""

    per_hour: float
    error: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One prediction as the subscriber had it."""

    at_s: float
    stream_epoch: int
    start_s: float
    latency_ms: float


def slope(times_s: Sequence[float], values: Sequence[float]) -> Slope:
    """Fit a line; needs three points at two times or more."""
    hours = np.asarray(times_s, float) / 3600
    found = np.asarray(values, float)
    spread = hours - hours.mean()
    square = float((spread**2).sum())
    rate = float((spread * found).sum()) / square
    rest = found - found.mean() - rate * spread
    error = float(np.sqrt((rest**2).sum() / (len(found) - 2) / square))
    return Slope(rate, error)


def settled(times_s: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The samples after the warm-up, the first third: of an hour, the time in which the messages
    kept in memory for replay reach their number.
    """
    begin = times_s[0] + (times_s[-1] - times_s[0]) / 3
    kept = [(t, v) for t, v in zip(times_s, values, strict=True) if t >= begin]
    return [t for t, _ in kept], [v for _, v in kept]


def no_leak(
    times_s: Sequence[float], mib: Sequence[float], limit: float, whose: str = "the daemon's"
) -> Verdict:
    """Memory's slope may not be above a limit in MiB an hour, by more than its uncertainty."""
    found = slope(*settled(times_s, mib))
    return Verdict(
        f"{whose} memory grows by no more than {limit:g} MiB/h",
        f"{found.per_hour:+.2f} +- {found.error:.2f} MiB/h",
        found.per_hour - 2 * found.error <= limit,
    )


def flat(name: str, times_s: Sequence[float], values: Sequence[float]) -> Verdict:
    """The medians of the second third's first half and of the end differ by one at most.

    Connections that come and go move single samples, and a leak moves the median.
    """
    _, after = settled(times_s, values)
    third = max(1, len(after) // 3)
    early, late = float(np.median(after[:third])), float(np.median(after[-third:]))
    return Verdict(
        f"{name} stay the same",
        f"median {early:g}, then {late:g}; at most {max(values):g}",
        late - early <= 1,
    )


def lost_windows(seen: Sequence[Seen], stride_s: float) -> int:
    """Windows missing between the first and the last of each stream epoch."""
    lost = 0
    for _, of_epoch in groupby(seen, key=lambda one: one.stream_epoch):
        starts = [one.start_s for one in of_epoch]
        expected = round((starts[-1] - starts[0]) / stride_s) + 1
        lost += expected - len(starts)
    return lost


def lossless(stream: str, seen: Sequence[Seen], stride_s: float, epochs: int) -> Verdict:
    """No window of a healthy stream is missing, and it was never connected anew."""
    lost = lost_windows(seen, stride_s)
    found = len({one.stream_epoch for one in seen})
    return Verdict(
        f"{stream} loses no window",
        f"{lost} lost of {len(seen) + lost}; {found} stream epochs, {epochs} expected",
        lost == 0 and found <= epochs and len(seen) > 1,
    )


def p99_by_quarter(seen: Sequence[Seen]) -> list[float]:
    """The 99th percentile of the latency in each quarter of the time, milliseconds."""
    begin, end = seen[0].at_s, seen[-1].at_s
    quarters: list[list[float]] = [[], [], [], []]
    for one in seen:
        quarter = min(3, int(4 * (one.at_s - begin) / max(1e-9, end - begin)))
        quarters[quarter].append(one.latency_ms)
    return [float(np.percentile(quarter, 99)) if quarter else 0.0 for quarter in quarters]


def no_drift(seen: Sequence[Seen]) -> Verdict:
    """The last quarter's p99 latency is within half again, and 20 ms, of the first's."""
    quarters = p99_by_quarter(seen)
    return Verdict(
        "latency does not drift",
        "p99 by quarter " + ", ".join(f"{ms:.0f}" for ms in quarters) + " ms",
        quarters[3] <= 1.5 * quarters[0] + 20,
    )
