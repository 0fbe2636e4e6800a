"""What a viewer is told, as JSON. Times are POSIX seconds of the daemon's clock."""

from collections.abc import Mapping, Sequence

import msgspec

from streamcls.events import State
from streamcls.observe.metrics import StreamCounts
from streamcls.observe.page.live import Legend, Mark, Row, Shown

_LEAST_SCORE = 0.005  # what is below draws no line
_FLOWING = ("warming_up", "up", "stale")


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in a few words and figures."""

    id: str
    state: State | None
    """None before its first word."""
    reason: str
    detail: str
    attempt: int
    since: float | None
    retry_at: float | None
    label: str | None
    """The best of the newest prediction; None where none is of now."""
    score: float | None
    background: bool
    """Whether that label opens no event."""
    frames_per_s: float | None
    latency_ms: float | None
    dropped: int
    """Windows and frames, for whatever reason."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A legend, for a stream's own view."""

    labels: Sequence[str]
    on: Sequence[float | None]
    off: Sequence[float | None]
    interval_s: float


class Own(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A stream's own view. A field that is left out has not changed."""

    curve: Curve | None = None
    """With it come all rows."""
    rows: list[tuple[float, dict[int, float]]] = []
    """Time and scores by label index, without those that are next to nothing."""
    clip: list[str] | None = None
    """JPEG, base64."""
    figures: dict[str, dict[str, str]] | None = None
    """By group and name."""


class News(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One message to a viewer. A field that is left out has not changed."""

    now: float
    streams: list[str] | None = None
    """All there are, in order; those that are not named are gone."""
    problems: list[str] | None = None
    tiles: list[Tile] = []
    marks: dict[str, list[Mark]] = {}
    """Events that are new or have changed, by stream."""
    pictures: dict[str, str] = {}
    """JPEG, base64, by stream."""
    own: Own | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it tells nothing."""
        return self == News(now=self.now)


def tile(
    stream: str, shown: Shown, counts: StreamCounts | None, frames_per_s: float | None
) -> Tile:
    """A stream as it is now."""
    status, prediction, curves = shown.status, shown.prediction, shown.curves
    since = status.since.timestamp() if status else None
    best = None
    if prediction and prediction.top and status and status.state in _FLOWING:
        best = prediction.top[0]
    legend = curves.legend if curves else None
    retry_in_s = status.retry_in_s if status else None
    return Tile(
        id=stream,
        state=status.state if status else None,
        reason=status.reason if status else "",
        detail=status.detail if status else "",
        attempt=status.attempt if status else 0,
        since=since,
        retry_at=None if since is None or retry_in_s is None else since + retry_in_s,
        label=best.label if best else None,
        score=best.score if best else None,
        background=bool(best and legend and _opens_none(legend, best.index)),
        frames_per_s=None if frames_per_s is None else round(frames_per_s, 1),
        latency_ms=prediction.latency.total_ms if prediction and best else None,
        dropped=_dropped(counts) if counts else 0,
    )


def curve_of(legend: Legend) -> Curve:
    """A legend as it is told."""
    return Curve(labels=legend.labels, on=legend.on, off=legend.off, interval_s=legend.interval_s)


def row(one: Row) -> tuple[float, dict[int, float]]:
    """A window's scores as they are told."""
    scores = enumerate(one.scores.tolist())
    return round(one.utc_s, 3), {i: round(s, 4) for i, s in scores if s >= _LEAST_SCORE}


def figures(shown: Shown, counts: StreamCounts | None) -> dict[str, dict[str, str]]:
    """A stream's counters, and what is known of its newest window."""
    told: dict[str, dict[str, str]] = {}
    if prediction := shown.prediction:
        latency = prediction.latency
        told["latency"] = {
            "cut and convert": f"{latency.window_ms:.0f} ms",
            "wait": f"{latency.queue_ms:.0f} ms",
            "network": f"{latency.inference_ms:.0f} ms",
            "publish": f"{latency.publish_ms:.0f} ms",
            "in all": f"{latency.total_ms:.0f} ms",
        }
        told["network"] = {
            "model": prediction.model,
            "backend": prediction.backend,
            "coverage": f"{100 * prediction.coverage:.0f} %",
        }
    if counts:
        told["network"] = told.get("network", {}) | {"stride": f"{counts.stride_s:.3g} s"}
        told["frames"] = {
            "decoded": f"{counts.frames_decoded}",
            "converted": f"{counts.frames_converted}",
            "decode errors": f"{counts.decode_errors}",
            **_named("not needed", counts.packets_skipped),
            **_named("dropped", counts.frames_dropped),
        }
        told["windows"] = {
            "whole": f"{counts.windows}",
            **_named("dropped", counts.windows_dropped),
        }
        told["connection"] = _named("lost", counts.reconnects) or {"lost": "0"}
        if counts.clock_offset_s is not None:
            told["connection"]["camera's clock"] = f"{counts.clock_offset_s:+.2f} s"
    return told


def _named(what: str, by_reason: Mapping[str, int]) -> dict[str, str]:
    return {f"{what}: {reason}": f"{count}" for reason, count in sorted(by_reason.items())}


def _opens_none(legend: Legend, index: int) -> bool:
    return index < len(legend.on) and legend.on[index] is None


def _dropped(counts: StreamCounts) -> int:
    return sum(counts.windows_dropped.values()) + sum(counts.frames_dropped.values())
