"""Which recordings are meant by files and folders."""

from collections.abc import Iterable
from pathlib import Path

from streamcls.errors import DataError

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"}
)


def find_videos(given: Iterable[Path | str]) -> list[Path]:
    """The files given, and those in the folders given, however deep, by name; each once.

    A file is taken as it is; whether it is a video shows when it is read.

    Raises:
        DataError: nothing is given, or a folder holds no video.
    """
    found: dict[Path, None] = {}
    for path in map(Path, given):
        if not path.is_dir():
            found[path] = None
            continue
        inside = [file for file in sorted(path.rglob("*")) if _is_video(file, path)]
        if not inside:
            raise DataError(
                f"{path} holds no video; name files, or a folder with {', '.join(_suffixes())}"
            )
        found.update(dict.fromkeys(inside))
    if not found:
        raise DataError("no recording is given; name video files or folders of them")
    return list(found)


def _is_video(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return file.suffix.lower() in VIDEO_SUFFIXES and not hidden and file.is_file()


def _suffixes() -> list[str]:
    return sorted(VIDEO_SUFFIXES)
