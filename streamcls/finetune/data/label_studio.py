"""Label Studio's JSON export: videos with choices for the whole, or labels on their timeline.

Read are `choices` (a class, or classes, of the whole video) and `timelinelabels` and
`videorectangle`-free ranges (a label from one frame to another), as its templates "Video
Classification" and "Video Timeline Segmentation" export them.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from streamcls.errors import DataError
from streamcls.finetune.data.records import Record


def read_export(path: Path, media_root: Path, frames_per_second: float) -> list[Record]:
    """The records of an export in the format "JSON".

    Args:
        media_root: where the videos lie; of an upload's or a URL's name the last part counts, and
            without the eight letters that Label Studio puts before an upload's name if need be.
        frames_per_second: the project's, by which its timeline counts frames.

    Raises:
        DataError: the file is no such export, or holds no label.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from None
    try:
        records = [
            record for task in tasks for record in _of_task(task, media_root, frames_per_second)
        ]
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{path} is no Label Studio export of format JSON: {error!r}") from None
    if not records:
        raise DataError(
            f"{path} holds no video with choices or timeline labels; export as JSON, not JSON-MIN"
        )
    return records


def _of_task(task: Mapping[str, Any], root: Path, fps: float) -> Iterator[Record]:
    done = [one for one in task["annotations"] if not one.get("was_cancelled")]
    if not done:
        return
    # The newest annotation is the one in force.
    results = max(done, key=lambda one: str(one.get("updated_at", "")))["result"]
    for result in results:
        video = _file(str(task["data"][_video_field(task, result)]), root)
        value, kind = result["value"], result["type"]
        if kind == "choices":
            yield Record(video, tuple(value["choices"]))
        elif kind == "timelinelabels":
            for part in value["ranges"]:
                # Frames count from 1, both ends within.
                start_s, end_s = (part["start"] - 1) / fps, part["end"] / fps
                yield Record(video, tuple(value["timelinelabels"]), start_s, end_s)


def _video_field(task: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The key of the task's data that the result speaks of; else the only one there is."""
    named = str(result.get("to_name", ""))
    return named if named in task["data"] else next(iter(task["data"]))


def _file(url: str, root: Path) -> Path:
    parts = urlsplit(url)
    local = parse_qs(parts.query).get("d", [parts.path])[0]  # /data/local-files/?d=folder/a.mp4
    name = PurePosixPath(unquote(local))
    head, dash, rest = name.name.partition("-")
    own = root / rest if dash and len(head) == 8 else root / name.name
    candidates = [root / str(name).lstrip("/"), root / name.name, own]
    return next((path for path in candidates if path.is_file()), candidates[1])
