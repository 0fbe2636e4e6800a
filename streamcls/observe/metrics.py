"""Prometheus metrics: what the stages counted, read when scraped, and two histograms.

Stages keep plain integers; nothing here runs on the frame path.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamcls.events import KINDS, State

# Seconds. Fine around the tens of milliseconds where a healthy box lives, so p50 and p99 tell.
_LATENCY_BUCKETS = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2),
    *(0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0),
)

# Shown as 0 before their first time: `increase` sees nothing of a count that begins with it.
_DROPS = ("behind", "broken", "coverage", "late", "stopped", "superseded", "undecoded")
_FRAME_DROPS = ("same_timestamp",)
_SKIPS = ("disposable", "gop")


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """One stream's counters at the moment of a scrape."""

    state: State
    up: bool
    last_frame_utc_s: float | None
    clock_offset_s: float | None
    stride_s: float
    stride_set_s: float
    frames_decoded: int
    frames_converted: int
    decode_errors: int
    windows: int
    windows_dropped: Mapping[str, int] = field(default_factory=dict)
    frames_dropped: Mapping[str, int] = field(default_factory=dict)
    reconnects: Mapping[str, int] = field(default_factory=dict)
    packets_skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The way out: what was sent and to how many, and what went wrong."""

    published: Mapping[str, int]
    subscribers: int
    refused: Mapping[str, int]
    replay_requests: Mapping[str, int]
    replayed_messages: int
    journal_errors: int
    journal_waiting: int
    journal_lost: int
    journal_bytes: int


@dataclass(frozen=True, slots=True)
class ReloadCounts:
    """What came of reading the configuration again.

    Attributes:
        results: reloads by how they ended.
        rejected: whether the last one was: the file is wrong, and older settings are in force.
        in_force_utc_s: since when the settings are served, or were last found unchanged.
    """

    results: Mapping[str, int]
    rejected: bool
    in_force_utc_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a scrape reads that is not a histogram."""

    streams: Mapping[str, StreamCounts]
    delivery: DeliveryCounts
    reloads: ReloadCounts
    build: Mapping[str, str]


class Metrics:
    """The daemon's own registry, so that two daemons in one process do not collide."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_StageCollector(read))
        ProcessCollector(registry=self.registry)
        self.inference_duration_seconds = Histogram(
            "streamcls_inference_duration_seconds",
            "Seconds in the model per batch.",
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.inference_batch_size = Histogram(
            "streamcls_inference_batch_size",
            "Windows per batch.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.event_latency_seconds = Histogram(
            "streamcls_event_latency_seconds",
            "Seconds from the arrival of a window's last frame to its prediction's publication.",
            ["stream"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )

    def forget(self, stream: str) -> None:
        """Drop the histogram of a stream that is served no more."""
        with suppress(KeyError):
            self.event_latency_seconds.remove(stream)

    def exposition(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self.registry)


class _StageCollector(Collector):
    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        # Registering must not scrape: the stages are not built yet.
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield from _stream_metrics(now.streams)
        yield from _delivery_metrics(now.delivery)
        yield from _reload_metrics(now.reloads)
        build = GaugeMetricFamily(
            "streamcls_build_info", "Versions and model in force.", labels=list(now.build)
        )
        build.add_metric(list(now.build.values()), 1)
        yield build


def _stream_metrics(streams: Mapping[str, StreamCounts]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "streamcls_source_state", "1 for the state of the stream.", labels=["stream", "state"]
    )
    up = GaugeMetricFamily("streamcls_source_up", "1 while frames arrive.", labels=["stream"])
    last = GaugeMetricFamily(
        "streamcls_source_last_frame_timestamp_seconds",
        "POSIX time of the last decoded frame.",
        labels=["stream"],
    )
    offset = GaugeMetricFamily(
        "streamcls_source_clock_offset_seconds",
        "A camera's wall clock minus this machine's, where the camera tells its time.",
        labels=["stream"],
    )
    stride = GaugeMetricFamily(
        "streamcls_stride_seconds",
        "Seconds from one window to the next: wider than set while overloaded.",
        labels=["stream"],
    )
    stride_set = GaugeMetricFamily(
        "streamcls_stride_set_seconds",
        "The same as the settings have it, in whole steps of the grid.",
        labels=["stream"],
    )
    for stream, counts in streams.items():
        for name in get_args(State):
            state.add_metric([stream, name], float(counts.state == name))
        stride.add_metric([stream], counts.stride_s)
        stride_set.add_metric([stream], counts.stride_set_s)
        up.add_metric([stream], float(counts.up))
        if counts.clock_offset_s is not None:
            offset.add_metric([stream], counts.clock_offset_s)
        if counts.last_frame_utc_s is not None:
            last.add_metric([stream], counts.last_frame_utc_s)
    yield from (state, up, last, offset, stride, stride_set)
    totals: dict[str, tuple[str, Callable[[StreamCounts], int]]] = {
        "frames_decoded": ("Frames decoded.", lambda counts: counts.frames_decoded),
        "frames_converted": ("Frames turned into RGB.", lambda counts: counts.frames_converted),
        "decode_errors": ("Packets that did not decode.", lambda counts: counts.decode_errors),
        "windows": ("Whole windows with enough coverage.", lambda counts: counts.windows),
    }
    for name, (text, value) in totals.items():
        family = CounterMetricFamily(f"streamcls_{name}", text, labels=["stream"])
        for stream, counts in streams.items():
            family.add_metric([stream], value(counts))
        yield family
    by_reason: dict[str, tuple[str, Sequence[str], Callable[[StreamCounts], Mapping[str, int]]]] = {
        "packets_skipped": (
            "Packets not decoded: no window needs them.",
            _SKIPS,
            lambda c: c.packets_skipped,
        ),
        "frames_dropped": (
            "Decoded frames that no window may use.",
            _FRAME_DROPS,
            lambda c: c.frames_dropped,
        ),
        "windows_dropped": ("Windows not classified.", _DROPS, lambda c: c.windows_dropped),
        "source_reconnects": ("Lost connections.", (), lambda c: c.reconnects),
    }
    for name, (text, known, values) in by_reason.items():
        family = CounterMetricFamily(f"streamcls_{name}", text, labels=["stream", "reason"])
        for stream, counts in streams.items():
            for reason, count in {**dict.fromkeys(known, 0), **values(counts)}.items():
                family.add_metric([stream, reason], count)
        yield family


def _delivery_metrics(counts: DeliveryCounts) -> Iterator[Metric]:
    labelled: dict[str, tuple[str, str, Mapping[str, int]]] = {
        "events_published": (
            "Messages sent, by kind.",
            "kind",
            {**dict.fromkeys(KINDS, 0), **counts.published},
        ),
        "replay_requests": (
            "Snapshots and replays asked for, by how they ended.",
            "reason",
            counts.replay_requests,
        ),
        "connections_refused": (
            "Connections turned away: by key, protocol or time limit.",
            "reason",
            counts.refused,
        ),
    }
    for name, (text, label, by_value) in labelled.items():
        family = CounterMetricFamily(f"streamcls_{name}", text, labels=[label])
        for value, total in by_value.items():
            family.add_metric([value], total)
        yield family
    yield CounterMetricFamily(
        "streamcls_replayed_messages",
        "Messages sent again in answers, snapshots among them.",
        counts.replayed_messages,
    )
    yield CounterMetricFamily(
        "streamcls_journal_errors", "Writes to the journal that failed.", counts.journal_errors
    )
    yield CounterMetricFamily(
        "streamcls_journal_lost", "Messages published and never journaled.", counts.journal_lost
    )
    gauges = {
        "subscribers": ("Open connections of subscribers.", counts.subscribers),
        "journal_waiting": (
            "Messages that the journal could not take yet.",
            counts.journal_waiting,
        ),
        "journal_size_bytes": ("Size of the journal's files.", counts.journal_bytes),
    }
    for name, (text, count) in gauges.items():
        yield GaugeMetricFamily(f"streamcls_{name}", text, count)


def _reload_metrics(counts: ReloadCounts) -> Iterator[Metric]:
    reloads = CounterMetricFamily(
        "streamcls_config_reloads", "Reloads of the configuration.", labels=["result"]
    )
    for result, count in counts.results.items():
        reloads.add_metric([result], count)
    yield reloads
    yield GaugeMetricFamily(
        "streamcls_config_last_reload_successful",
        "0 while the file as last read is wrong, and older settings are in force.",
        float(not counts.rejected),
    )
    yield GaugeMetricFamily(
        "streamcls_config_last_reload_success_timestamp_seconds",
        "POSIX time since which the settings are in force.",
        counts.in_force_utc_s,
    )
