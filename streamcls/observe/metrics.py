"""Prometheus metrics: what the stages counted, read when scraped, and two histograms.

Stages keep plain integers; nothing here runs on the frame path.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Seconds. Fine around the tens of milliseconds where a healthy box lives, so p50 and p99 tell.
_LATENCY_BUCKETS = (
    *(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2),
    *(0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0),
)


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """One stream's counters at the moment of a scrape."""

    up: bool
    last_frame_utc_s: float | None
    clock_offset_s: float | None
    stride_s: float
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
class Snapshot:
    """Everything a scrape reads that is not a histogram."""

    streams: Mapping[str, StreamCounts]
    delivery: DeliveryCounts
    reloads: Mapping[str, int]
    build: Mapping[str, str]


class Metrics:
    """The daemon's own registry, so that two daemons in one process do not collide."""

    def __init__(self, read: Callable[[], Snapshot]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_StageCollector(read))
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
        reloads = CounterMetricFamily(
            "streamcls_config_reloads", "Reloads of the configuration.", labels=["result"]
        )
        for result, count in now.reloads.items():
            reloads.add_metric([result], count)
        yield reloads
        build = GaugeMetricFamily(
            "streamcls_build_info", "Versions and model in force.", labels=list(now.build)
        )
        build.add_metric(list(now.build.values()), 1)
        yield build


def _stream_metrics(streams: Mapping[str, StreamCounts]) -> Iterator[Metric]:
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
    for stream, counts in streams.items():
        stride.add_metric([stream], counts.stride_s)
        up.add_metric([stream], float(counts.up))
        if counts.clock_offset_s is not None:
            offset.add_metric([stream], counts.clock_offset_s)
        if counts.last_frame_utc_s is not None:
            last.add_metric([stream], counts.last_frame_utc_s)
    yield up
    yield last
    yield offset
    yield stride
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
    by_reason: dict[str, tuple[str, Callable[[StreamCounts], Mapping[str, int]]]] = {
        "packets_skipped": (
            "Packets not decoded: no window needs them.",
            lambda c: c.packets_skipped,
        ),
        "frames_dropped": ("Decoded frames that no window may use.", lambda c: c.frames_dropped),
        "windows_dropped": ("Windows not classified.", lambda counts: counts.windows_dropped),
        "source_reconnects": ("Lost connections.", lambda counts: counts.reconnects),
    }
    for name, (text, values) in by_reason.items():
        family = CounterMetricFamily(f"streamcls_{name}", text, labels=["stream", "reason"])
        for stream, counts in streams.items():
            for reason, count in values(counts).items():
                family.add_metric([stream, reason], count)
        yield family


def _delivery_metrics(counts: DeliveryCounts) -> Iterator[Metric]:
    labelled: dict[str, tuple[str, str, Mapping[str, int]]] = {
        "events_published": ("Messages sent, by kind.", "kind", counts.published),
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
