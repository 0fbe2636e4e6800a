"""Webcams, and whether they may be used."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2

from streamcls.doctor.finding import Finding, Subject

_DEVICES = Path("/dev")


def look(_: Subject) -> Iterator[Finding]:
    """OpenCV's way to them, and each device."""
    if cv2.CAP_V4L2 not in cv2.videoio_registry.getCameraBackends():
        detail = "this OpenCV is built without Video4Linux; no webcam can be read"
        yield Finding("OpenCV", "warning", detail, "pip install opencv-python-headless")
    devices = sorted(
        (path for path in _DEVICES.glob("video*") if re.fullmatch(r"video\d+", path.name)),
        key=lambda path: int(path.name.removeprefix("video")),
    )
    if not devices:
        yield Finding("webcams", "note", "there is none")
    for path in devices:
        if os.access(path, os.R_OK | os.W_OK):
            yield Finding(str(path), "ok", "may be used")
        else:
            yield Finding(
                str(path),
                "warning",
                "may not be used",
                "sudo usermod -aG video $USER, and log in anew",
            )
