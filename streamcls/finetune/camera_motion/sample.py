"""The demonstration video that comes with the package."""

import json
from pathlib import Path

from streamcls.finetune.camera_motion.camera import Pace
from streamcls.finetune.camera_motion.labels import Span
from streamcls.finetune.camera_motion.video import write_video

SEGMENTS = (
    ("still", 4.0),
    ("pan_left", 3.0),
    ("still", 2.0),
    ("tilt_up", 2.5),
    ("still", 2.0),
    ("zoom_in", 3.0),
    ("still", 2.0),
    ("shaking", 3.0),
    ("still", 2.0),
    ("covered", 3.0),
)
"""What it shows: labels with their durations in seconds."""

_PACE = Pace(turn=Span(0.18, 0.22), zoom=Span(0.18, 0.22), shake=Span(0.03, 0.035))
_SEED = 3


def write_sample(photo: Path, out: Path) -> None:
    """Film the demonstration, 640x360 at 25 fps, with its truth in a JSON file beside it.

    The JSON is a list of {"label", "start_s", "end_s"}.

    Raises:
        DataError: the photograph cannot be read.
    """
    truth = write_video(
        out,
        photo,
        SEGMENTS,
        fps=25,
        size=(640, 360),
        seed=_SEED,
        foreground=False,
        pace=_PACE,
        options={"preset": "slow", "crf": "27"},
    )
    rows = [{"label": label, "start_s": start, "end_s": end} for label, start, end in truth]
    out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
