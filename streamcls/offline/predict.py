"""Whole videos classified: sliding windows, events, and one answer for each video.

Windows of all files share batches, so that many short clips go as fast as one long recording.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict, get_args

import numpy as np
import numpy.typing as npt

from streamcls.config import BackendName, ModelSettings
from streamcls.engine import Engine
from streamcls.errors import ConfigError, SourceError
from streamcls.frames import Prediction, RgbClip, Window
from streamcls.lane import LaneSettings
from streamcls.models.manifest import Activation
from streamcls.models.scoring import logits_of
from streamcls.offline.files import find_videos
from streamcls.offline.recordings import LabelEvent, Recording, reading

Output = Literal["labels", "classes", "probabilities", "logits"]
"""What an answer is told as; see `Answer`."""

Answer: TypeAlias = str | int | tuple[str, ...] | tuple[int, ...] | tuple[float, ...]
"""A label, a class index, or numbers in label order. Of a multi-label model `labels` and
`classes` are all those whose score is at least 0.5."""

_HOLDS = 0.5
Row: TypeAlias = npt.NDArray[np.float32]


class _Told(TypedDict):
    """What windows and videos have in common."""

    label: str
    score: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    """One window, in seconds from the video's first frame; its best label, and the answer."""

    start_s: float
    end_s: float
    label: str
    score: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class VideoPrediction:
    """All of one video.

    Attributes:
        length_s: seconds from the first frame to the last.
        label, score: the best of the mean over all windows.
        answer: that mean, as asked for.
        windows: in order, at least one.
        events: those a daemon would tell of, in order of their start.
        held: whether the video is shorter than a clip, so that its last frame shows on.
    """

    path: Path
    length_s: float
    label: str
    score: float
    answer: Answer
    windows: tuple[WindowPrediction, ...]
    events: tuple[LabelEvent, ...]
    held: bool


@dataclass(frozen=True, slots=True)
class FailedVideo:
    """A file that could not be read to its end, and why, in one line that names it."""

    path: Path
    reason: str


def predict(
    videos: Path | str | Iterable[Path | str],
    model: Path | str = "camera-motion",
    *,
    stride_s: float | None = None,
    device: str = "auto",
    backend: BackendName = BackendName.TORCH,
    batch_size: int = 8,
    output: Output = "labels",
) -> list[VideoPrediction | FailedVideo]:
    """Classify whole videos.

    Args:
        videos: files, and folders that are searched for them.
        model: a model file, or a bundled model's name.
        stride_s: seconds between windows, rounded to the model's grid; None: the daemon's.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        backend: as in [model]; the default scores alike on all machines.
        batch_size: windows scored at once, of whichever files.

    Returns:
        What came of each video, in order. A bad file costs no other: it is a `FailedVideo`.

    Raises:
        ConfigError: the model cannot be loaded, or an argument cannot be.
        DataError: there is no video.
    """
    given = [videos] if isinstance(videos, Path | str) else list(videos)
    engine = Engine.load(ModelSettings(path=str(model), device=device, backend=backend), stride_s)
    settings = reading(engine, stride_s=stride_s)
    return list(predictions(find_videos(given), settings, batch_size=batch_size, output=output))


def predictions(
    videos: Iterable[Path],
    settings: LaneSettings,
    *,
    batch_size: int = 8,
    output: Output = "labels",
) -> Iterator[VideoPrediction | FailedVideo]:
    """As `predict`, one video after another as they are done.

    Raises:
        ConfigError: an argument cannot be.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; use 1 or more")
    if output not in get_args(Output):
        raise ConfigError(f"output {output!r} is unknown; use {', '.join(get_args(Output))}")
    for batch in _batches(_parts(videos, settings), batch_size):
        clips = [part.clip for _, part in batch if isinstance(part, Window)]
        rows = iter(_scored(settings, clips, output))
        for video, part in batch:
            if isinstance(part, Window):
                video.take(part, *next(rows))
            elif part is None:
                yield video.result(output)
            else:
                yield FailedVideo(video.path, str(part))


class _Video:
    """A video on its way: what its windows came to so far."""

    def __init__(self, path: Path, settings: LaneSettings) -> None:
        self.path = path
        self._model = settings.engine.model
        self._recording = Recording(path, settings)
        self._held = False
        self._spans_s: list[tuple[float, float]] = []
        self._scores: list[Row] = []
        self._forms: list[Row] = []
        self._events: list[LabelEvent] = []

    def windows(self) -> Iterator[Window]:
        """Its windows, or the one clip of a video shorter than that.

        Raises:
            SourceError: it cannot be read, or holds no whole clip though it is long enough.
        """
        whole = False
        for window in self._recording.windows():
            whole = True
            yield window
        if whole:
            return
        if self._recording.length_s >= self._model.clip_spec.span_s:
            raise SourceError(
                f"{self.path} holds no whole clip: it lacks frames, or its times jump"
            )
        self._held = True
        yield from self._recording.one_held_window()

    def take(self, window: Window, scores: Row, form: Row) -> None:
        """Take a window's scores, and what they are to be told as."""
        first_s = self._recording.first_s
        self._spans_s.append((float(window.start_s - first_s), float(window.end_s - first_s)))
        self._scores.append(scores)
        self._forms.append(form)
        self._events += self._recording.report(Prediction(window, scores, 0.0, 0.0))[1]

    def result(self, output: Output) -> VideoPrediction:
        """All of it, now that it is over."""
        events = [*self._events, *self._recording.end()[1]]
        mean, mean_form = np.mean(self._scores, axis=0), np.mean(self._forms, axis=0)
        return VideoPrediction(
            path=self.path,
            length_s=round(float(self._recording.length_s), 6),
            **self._told(mean, mean_form, output),
            windows=tuple(
                WindowPrediction(
                    round(start_s, 6), round(end_s, 6), **self._told(row, form, output)
                )
                for (start_s, end_s), row, form in zip(
                    self._spans_s, self._scores, self._forms, strict=True
                )
            ),
            events=tuple(sorted(events, key=lambda event: (event.start_s, event.label))),
            held=self._held,
        )

    def _told(self, scores: Row, form: Row, output: Output) -> _Told:
        best = int(scores.argmax())
        return {
            "label": self._model.labels[best],
            "score": round(float(scores[best]), 5),
            "answer": self._answer(scores, form, output),
        }

    def _answer(self, scores: Row, form: Row, output: Output) -> Answer:
        if output in ("probabilities", "logits"):
            return tuple(float(number) for number in form)
        labels = self._model.labels
        if self._model.manifest.activation is Activation.SOFTMAX:
            best = int(scores.argmax())
            return best if output == "classes" else labels[best]
        holding = np.flatnonzero(scores >= _HOLDS).tolist()
        return tuple(holding) if output == "classes" else tuple(labels[n] for n in holding)


_Part: TypeAlias = tuple[_Video, Window | SourceError | None]
"""A window of a video, what ended it before its end, or None for its end."""


def _parts(videos: Iterable[Path], settings: LaneSettings) -> Iterator[_Part]:
    for path in videos:
        video = _Video(path, settings)
        try:
            for window in video.windows():
                yield video, window
        except SourceError as error:
            yield video, error
        else:
            yield video, None


def _batches(parts: Iterable[_Part], batch_size: int) -> Iterator[list[_Part]]:
    """Parts in order, with at most so many windows at a time."""
    batch: list[_Part] = []
    windows = 0
    for part in parts:
        batch.append(part)
        windows += isinstance(part[1], Window)
        if windows == batch_size:
            yield batch
            batch, windows = [], 0
    if batch:
        yield batch


def _scored(
    settings: LaneSettings, clips: Sequence[RgbClip], output: Output
) -> Iterable[tuple[Row, Row]]:
    """Each clip's probabilities, and the numbers they are to be told as."""
    if not clips:
        return ()
    scores = settings.engine.backend.scores(clips)
    if output != "logits":
        return zip(scores, scores, strict=True)
    model = settings.engine.model
    # The daemon's backend gives probabilities alone; those must stay what it gives.
    logits = logits_of(model.network, clips, model.clip_spec, model.device)
    return zip(scores, logits.float().cpu().numpy(), strict=True)
