"""Predictions as text: JSON lines, CSV, WebVTT. Each a function from results to lines; pure."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from html import escape
from typing import Any

from streamcls.offline.predict import FailedVideo, VideoPrediction
from streamcls.offline.recordings import LabelEvent

_SHORTEST_CUE_S = 0.001  # a cue's end must be later than its start
CSV_COLUMNS = ("video", "kind", "start_s", "end_s", "label", "score")


def json_lines(results: Iterable[VideoPrediction | FailedVideo]) -> Iterator[str]:
    """One JSON object for each video; of a bad file its path and `error`."""
    for result in results:
        yield json.dumps(_document(result), ensure_ascii=False)


def csv_lines(results: Iterable[VideoPrediction | FailedVideo]) -> Iterator[str]:
    """A row for each video, each of its windows and each of its events; none of a bad file."""
    yield _csv_row(CSV_COLUMNS)
    for result in results:
        if isinstance(result, FailedVideo):
            continue
        path = str(result.path)
        yield _csv_row((path, "video", 0.0, result.length_s, result.label, result.score))
        for window in result.windows:
            yield _csv_row(
                (path, "window", window.start_s, window.end_s, window.label, window.score)
            )
        for event in result.events:
            yield _csv_row(
                (path, "event", event.start_s, event.end_s, event.label, event.peak_score)
            )


def web_vtt(events: Iterable[LabelEvent]) -> str:
    """Subtitles of one video: a cue for each event (https://www.w3.org/TR/webvtt1/)."""
    cues = ["WEBVTT\n"]
    for event in sorted(events, key=lambda event: (event.start_s, event.end_s, event.label)):
        end_s = max(event.end_s, event.start_s + _SHORTEST_CUE_S)
        text = " ".join(escape(event.label, quote=False).split())
        cues.append(f"{_clock(event.start_s)} --> {_clock(end_s)}\n{text}\n")
    return "\n".join(cues)


def _document(result: VideoPrediction | FailedVideo) -> dict[str, Any]:
    if isinstance(result, FailedVideo):
        return {"path": str(result.path), "error": result.reason}
    return asdict(result) | {"path": str(result.path)}


def _csv_row(values: Iterable[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def _clock(seconds: float) -> str:
    """3723.5 as 01:02:03.500."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds / 1000:06.3f}"
