"""A recording read as the daemon reads it: same source, windows, network and decisions.

    FileSource -> Lane's WindowAssembler -> Backend -> Lane's Decider

No threads and no wall clock, so two readings give the same bytes. What comes out is in seconds
from the recording's first frame.
"""

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import msgspec

from streamcls.config import (
    CaptureSettings,
    DecisionSettings,
    Pace,
    Settings,
    StreamSettings,
    WindowSettings,
)
from streamcls.engine import Engine
from streamcls.errors import ConfigError, SourceError
from streamcls.events import EventData, Payload
from streamcls.frames import Frame, Prediction, Window
from streamcls.lane import Lane, LaneSettings
from streamcls.pipeline.sources import Needs, open_source
from streamcls.pipeline.timeline import MAX_JUMP_S

_NAME = "recording"
_STREAM = StreamSettings(_NAME, "file:", pace=Pace.FASTEST)
_LIMITS = CaptureSettings(open_timeout_s=30, read_timeout_s=30)  # a slow disk is no dead camera
_MAX_STEP_S = Fraction(1)  # a longer one would begin a new stream epoch


class NoClock:
    """A recording's clock: it always shows 0, so that nothing depends on when a file was read."""

    def monotonic_s(self) -> float:
        """0."""
        return 0.0

    def utc_s(self) -> float:
        """0."""
        return 0.0

    def wait(self, event: threading.Event, seconds: float) -> bool:  # noqa: ARG002
        """Whether `event` is set, at once."""
        return event.is_set()


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """A label event that is over. Times are seconds from the recording's first frame.

    Attributes:
        start_s, end_s: centres of the first and the last window in which the label held.
        decided_s: the end of the window that made it an event: when a daemon would have told.
    """

    label: str
    start_s: float
    end_s: float
    decided_s: float
    peak_score: float
    mean_score: float


def reading(
    engine: Engine,
    *,
    stride_s: float | None = None,
    min_coverage: float | None = None,
    decisions: DecisionSettings | None = None,
) -> LaneSettings:
    """How recordings are to be read; what is left out is the daemon's default.

    Raises:
        ConfigError: the stride or a decision cannot be.
    """
    asked = {"stride_s": stride_s, "min_coverage": min_coverage}
    try:
        windows = msgspec.convert(
            {key: value for key, value in asked.items() if value is not None}, WindowSettings
        )
    except msgspec.ValidationError as error:
        raise ConfigError(f"these windows cannot be: {error}") from None
    settings = Settings(
        streams=[_STREAM], windows=windows, decisions=decisions or DecisionSettings()
    )
    return LaneSettings.of(_STREAM, settings, engine)


def frames_of(path: Path, needs: Needs | None = None) -> Generator[Frame, None, None]:
    """Every frame of a file, by the daemon's own source; `needs` as for `open_source`.

    Raises:
        SourceError: the file is missing, no video, or damaged; the text names it.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist", reason="missing")
    stream = StreamSettings(_NAME, f"file://{path.absolute()}", pace=Pace.FASTEST)
    source = open_source(stream, _LIMITS, NoClock(), needs)
    with closing(source.frames(threading.Event())) as frames:
        yield from frames


class Recording:
    """One reading of one recording.

    Attributes:
        name: the file's path; of a source that is no file, what to call it.
        settings: how it is read, and by which model.
        first_s: media time of the first frame, seconds; known once there is a window.
        length_s: recorded seconds so far, jumps of the clock left out.
    """

    def __init__(
        self,
        name: Path,
        settings: LaneSettings,
        *,
        frames: Callable[[], Generator[Frame, None, None]] | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            frames: gives the frames in place of the file `name`; called for each pass.
        """
        self.name = name
        self.settings = settings
        self.first_s = Fraction(0)
        self.length_s = Fraction(0)
        self._given = frames
        self._lane = self._new_lane(settings)
        self._decided_s: dict[str, float] = {}

    def windows(self) -> Iterator[Window]:
        """The windows the daemon would classify, in order; memory does not grow.

        Raises:
            SourceError: the file is missing, no video, or damaged; the text names it.
        """
        assembler = self._lane.assembler()
        for frame in self._frames(assembler.needs):
            yield from assembler.push(frame)

    def one_held_window(self) -> Iterator[Window]:
        """For a recording shorter than a clip: its one clip, whose last frame shows on.

        The daemon never emits such a clip; it is what finetune's validation makes of such a file.

        Raises:
            SourceError: as `windows`.
        """
        assembler = self._new_lane(replace(self.settings, min_coverage=0.0)).assembler()
        windows: list[Window] = []
        last = None
        for last in self._frames():
            windows += assembler.push(last)
        interval_s = self.settings.engine.model.clip_spec.frame_interval_s
        while last and not windows:
            assert last.media_s is not None  # a file's frames always have a time
            last = replace(last, media_s=last.media_s + min(interval_s, _MAX_STEP_S))
            windows += assembler.push(last)
        yield from windows[:1]

    def report(self, prediction: Prediction) -> tuple[list[Payload], list[LabelEvent]]:
        """What the daemon would publish for a prediction, and the events that ended with it."""
        payloads = list(self._lane.report(prediction))
        decided_s = float(prediction.window.end_s - self.first_s)
        return payloads, self._ended(payloads, decided_s)

    def end(self) -> tuple[list[Payload], list[LabelEvent]]:
        """As the daemon at the end of a file: what is open ends, its stream being lost."""
        payloads = list(self._lane.end_events("stream_lost"))
        return payloads, self._ended(payloads, decided_s=0.0)

    def _ended(self, payloads: list[Payload], decided_s: float) -> list[LabelEvent]:
        over: list[LabelEvent] = []
        for event in payloads:
            if not isinstance(event, EventData):
                continue
            if event.transition == "start":
                self._decided_s[event.event_id] = decided_s
            elif event.transition == "end":
                over.append(self._event(event, self._decided_s.pop(event.event_id)))
        return over

    def _event(self, event: EventData, decided_s: float) -> LabelEvent:
        origin_s = float(self.first_s)
        held_s = event.start_s if event.end_s is None else event.end_s
        return LabelEvent(
            label=event.label,
            start_s=round(event.start_s - origin_s, 6),
            end_s=round(held_s - origin_s, 6),
            decided_s=round(decided_s, 6),
            peak_score=event.peak_score,
            mean_score=event.mean_score,
        )

    def _frames(self, needs: Needs | None = None) -> Iterator[Frame]:
        """All frames; counts recorded seconds."""
        before: Fraction | None = None
        self.length_s = Fraction(0)
        given = self._given() if self._given else frames_of(self.name, needs)
        with closing(given) as frames:
            for frame in frames:
                assert frame.media_s is not None  # a file's frames always have a time
                if before is None:
                    self.first_s = frame.media_s
                elif 0 < frame.media_s - before <= MAX_JUMP_S:
                    self.length_s += frame.media_s - before
                before = frame.media_s
                yield frame

    def _new_lane(self, settings: LaneSettings) -> Lane:
        return Lane(
            _STREAM,
            settings,
            number=0,
            epochs_before=0,
            boot_id=_NAME,
            next_event=itertools.count(1).__next__,
            clock=NoClock(),
        )


def replay(recording: Recording) -> Iterator[tuple[Prediction, list[LabelEvent]]]:
    """Play a recording through the daemon's stages: each prediction, and the events it ended.

    Each window is scored alone, as the daemon scores those of one stream that it keeps up with:
    on a CPU the last bits of a score depend on the batch. What ends with the recording comes with
    its last prediction.

    Raises:
        SourceError: as `Recording.windows`.
    """
    backend = recording.settings.engine.backend
    held: tuple[Prediction, list[LabelEvent]] | None = None
    for window in recording.windows():
        if held:
            yield held
        prediction = Prediction(window, backend.scores([window.clip])[0], 0.0, 0.0)
        held = prediction, recording.report(prediction)[1]
    if held:
        yield held[0], held[1] + recording.end()[1]
