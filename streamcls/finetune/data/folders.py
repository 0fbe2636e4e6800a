"""Folders of videos, a folder for each class: `train/<class>/*.mp4`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from streamcls.errors import DataError
from streamcls.finetune.data.records import Record

VIDEO_SUFFIXES = {
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
}


def class_folders(folder: Path) -> list[Record]:
    """The videos below each class's folder, by class and name.

    Raises:
        DataError: no such folder, it holds no class folder, or one without a video.
    """
    names = [entry.name for entry in _entries(folder) if entry.is_dir()]
    if not names:
        raise DataError(f"{folder} has no class folders; lay videos out as <class>/<video>.mp4")
    records: list[Record] = []
    for name in names:
        found = list(videos_in(folder / name))
        if not found:
            raise DataError(f"{folder / name} has no usable video: no file with a video's suffix")
        records += [Record(path, (name,)) for path in found]
    return records


def plain_folder(folder: Path) -> list[Record]:
    """The videos anywhere below a folder, without labels."""
    return [Record(path) for path in videos_in(folder)]


def videos_in(folder: Path) -> Iterator[Path]:
    """Files below a folder that have a video's suffix, in order; hidden ones are left out."""
    for entry in _entries(folder):
        if entry.is_dir():
            yield from videos_in(entry)
        elif entry.suffix.lower() in VIDEO_SUFFIXES:
            yield entry


def _entries(folder: Path) -> Iterable[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{folder} is not a folder that can be read ({error.strerror}); lay videos out as"
            " train/<class>/<video>.mp4"
        ) from None
