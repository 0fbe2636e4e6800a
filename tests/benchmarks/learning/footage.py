"""The recording: pedestrians before one fixed camera, as OpenCV ships it for its samples.

Nothing of it is kept in this repository. `fetch` downloads Debian's package opencv-doc with
`apt-get download` and unpacks the one file, which needs no administrator rights.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from streamcls.errors import DataError

PACKAGE = "opencv-doc"
MEMBER = "./usr/share/doc/opencv-doc/examples/data/vtest.avi"
SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
LICENCE = "Apache-2.0 and BSD-3-Clause, as the package's copyright file states for its samples"
FPS = 10
SCALE = 2
"""Pictures are halved: 768 x 576 becomes 384 x 288."""

Footage = npt.NDArray[np.uint8]
"""Every frame of a recording, RGB, shape (frames, height, width, 3)."""


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/streamcls/footage`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamcls" / "footage"


def fetch(cache: Path) -> Path:
    """The recording in the cache folder, downloaded where it is missing.

    Raises:
        DataError: this is not a Debian system with that package, or it holds another recording.
    """
    path = cache / Path(MEMBER).name
    if not path.exists():
        _download(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise DataError(f"{path} is another recording (SHA-256 {found}); remove it and start again")
    return path


def read_footage(path: Path) -> Footage:
    """Decode all frames at 1 / `SCALE` of their size."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = {"width": stream.width // SCALE, "height": stream.height // SCALE}
        pictures = [
            frame.reformat(format="rgb24", interpolation="AREA", **size).to_ndarray()
            for frame in container.decode(stream)
        ]
    return np.asarray(np.stack(pictures), np.uint8)


def _download(path: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DataError(
            f"the footage comes from Debian's package {PACKAGE} and apt-get is not here; copy its"
            f" {MEMBER.removeprefix('.')} to {path}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        _run(["apt-get", "download", PACKAGE], Path(scratch))
        archive = next(Path(scratch).glob("*.deb"))
        _run(["dpkg-deb", "--extract", archive.name, "unpacked"], Path(scratch))
        shutil.move(Path(scratch) / "unpacked" / MEMBER, path)


def _run(command: list[str], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise DataError(f"`{' '.join(command)}` failed: {result.stderr.strip()[-300:]}")
