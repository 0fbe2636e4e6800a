"""Histories over real files, and messages to put into them."""

from datetime import UTC, datetime
from pathlib import Path

from streamcls.events import (
    Encoded,
    EventData,
    Latency,
    Payload,
    PredictionData,
    StatusData,
    Transition,
    Writer,
    utc,
)
from streamcls.history import History, Journal
from tests.pipeline.stubs import ManualClock

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = "streamcls/v1/cam/event/"
PREDICTIONS = "streamcls/v1/cam/prediction/"
STATUS = "streamcls/v1/cam/status/"


def event(event_id: str = "e", transition: Transition = "start", label: str = "still") -> EventData:
    return EventData(
        event_id=event_id,
        transition=transition,
        label=label,
        index=0,
        stream_epoch=1,
        peak_score=0.9,
        mean_score=0.8,
        start_s=1.0,
        start_time=START,
        reason="label_off" if transition == "end" else None,
    )


def prediction() -> PredictionData:
    latency = Latency(window_ms=1, queue_ms=1, inference_ms=1, publish_ms=1, total_ms=4)
    return PredictionData(1, 0.0, 1.0, START, START, 1.0, [], latency, "small", "0")


def status(*, heartbeat: bool = False) -> StatusData:
    return StatusData(state="up", since=START, heartbeat=heartbeat)


def journal(
    path: Path,
    boot: str,
    clock: ManualClock,
    *,
    max_age_s: float = 1e6,
    max_bytes: int = 10**9,
    predictions: bool = False,
) -> Journal:
    return Journal(
        path,
        boot_id=boot,
        max_age_s=max_age_s,
        max_bytes=max_bytes,
        power_safe=False,
        predictions=predictions,
        clock=clock,
    )


class Daemon:
    """One run: numbers, encodes and records."""

    def __init__(
        self, boot: str, kept: Journal | None, clock: ManualClock, *, keep: int = 100
    ) -> None:
        self.clock = clock
        self.journal = kept
        self.writer = Writer("/test", boot)
        self.history = History(
            boot_id=boot, streams=["cam"], heartbeat_s=5, keep=keep, journal=kept
        )

    def send(self, *payloads: Payload, stream: str = "cam") -> list[Encoded]:
        now = utc(self.clock.utc_s())
        group = [self.writer.encode(stream, payload, now) for payload in payloads]
        self.history.record(group)
        return group

    def crash(self) -> None:
        """End as a kill does: nothing more is written, the lock falls."""
        if self.journal:
            self.journal._disconnect()
            self.journal._file.release()
