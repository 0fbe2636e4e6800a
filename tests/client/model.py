"""A daemon in memory: it numbers, forgets, restarts, and answers as the protocol says."""

from dataclasses import dataclass, field

from streamcls.events import Payload, StatusData, Writer, decode, topic, utc
from streamcls.protocol import (
    Answer,
    Missing,
    Position,
    Refusal,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
)
from tests.test_events import PAYLOADS

Frames = tuple[bytes, bytes]
EVENT = PAYLOADS[2]
PREDICTION = PAYLOADS[1]


@dataclass
class Kept:
    bootid: str
    sequence: int
    frames: Frames


@dataclass
class Model:
    """One stream's daemon over several runs; `log` is the truth, `kept` what it still has."""

    page: int = 3
    runs: list[str] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    kept: dict[str, list[Kept]] = field(default_factory=dict)
    log: list[Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind in ("event", "prediction"):
            self.kept[topic("cam", kind)] = []
        self.restart()

    def restart(self) -> None:
        self.runs.append(f"run{len(self.runs)}")
        self.writer = Writer("/model", self.runs[-1])

    def publish(self, stream: str = "cam", payload: Payload = EVENT) -> Frames:
        encoded = self.writer.encode(stream, payload, utc(0))
        kept = Kept(self.runs[-1], encoded.sequence, encoded.frames)
        if not isinstance(payload, StatusData):
            self.log.append(kept)
        self.kept.setdefault(encoded.topic, []).append(kept)
        self.counts[encoded.topic, self.runs[-1]] = encoded.sequence
        return encoded.frames

    def heartbeat(self, stream: str = "cam") -> Frames:
        newest = {
            kind: self.writer.sequence(topic(stream, kind)) for kind in ("event", "prediction")
        }
        status = StatusData(state="up", since=utc(0), heartbeat=True, sequences=newest)
        return self.publish(stream, status)

    def trim(self, name: str, leave: int) -> None:
        kept = self.kept.get(name, [])
        del kept[: max(0, len(kept) - leave)]

    def respond(self, request: Request) -> tuple[Answer, list[Frames]]:
        if isinstance(request, SnapshotRequest):
            return self._snapshot(request)
        if request.topic not in self.kept:
            return Refusal(request=request.request, reason="unknown_topic", detail="no"), []
        return self._replay(request)

    def _snapshot(self, request: SnapshotRequest) -> tuple[Answer, list[Frames]]:
        newest = [kept[-1].frames for kept in self.kept.values() if kept]
        head = Snapshot(
            request=request.request,
            bootid=self.runs[-1],
            heartbeat_s=1,
            sequences={name: self.writer.sequence(name) for name in self.kept},
            latest=len(newest),
        )
        still_open = [
            kept[-1].frames
            for name, kept in self.kept.items()
            if kept and name.endswith("/event/") and self.is_open(kept[-1])
        ]
        return head, [*newest, *still_open]

    def is_open(self, kept: Kept) -> bool:
        data = decode(*kept.frames).data
        return getattr(data, "transition", "end") != "end"

    def _replay(self, request: ReplayRequest) -> tuple[Answer, list[Frames]]:
        name, after = request.topic, request.after
        kept = self.kept[name]
        if after is None:
            runs = self.runs[self.runs.index(kept[0].bootid) :] if kept else self.runs[-1:]
            at = Position(runs[0], kept[0].sequence - 1) if kept else self._end(name, runs[0])
        else:
            runs = self.runs[self.runs.index(after.bootid) :]
            at = after
        sent: list[Frames] = []
        missing: list[Missing] = []
        here = {(one.bootid, one.sequence): one for one in kept}
        for run in runs:
            first = at.sequence + 1 if at.bootid == run else 1
            last = self.counts.get((name, run), 0)
            if request.to and request.to.bootid == run:
                last = min(last, request.to.sequence)
            at = Position(run, first - 1)
            for sequence in range(first, last + 1):
                if len(sent) == self.page:
                    return self._head(request, at, missing, more=True), sent
                one = here.get((run, sequence))
                if one:
                    sent.append(one.frames)
                else:
                    missing.append(Missing(run, sequence, sequence, len(sent)))
                at = Position(run, sequence)
            if request.to and request.to.bootid == run:
                break
        return self._head(request, at, missing, more=False), sent

    def _end(self, name: str, run: str) -> Position:
        return Position(run, self.counts.get((name, run), 0))

    def _head(
        self, request: ReplayRequest, through: Position, missing: list[Missing], *, more: bool
    ) -> Replay:
        return Replay(
            request=request.request,
            topic=request.topic,
            through=through,
            more=more,
            missing=missing,
        )
