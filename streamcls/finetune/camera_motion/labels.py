"""The classes of camera motion and the numbers that keep them apart.

Lengths are in *sides*: the side of the square the network sees, which is the picture's shorter
side. Between `still` and each kind of motion lies a gap in which nothing is generated, so that
no clip has two right answers. Names are those of the camera's motion: under `pan_left` the
picture's content moves to the right, under `tilt_up` it moves down, under `zoom_in` it grows.
"""

from typing import NamedTuple

LABELS = (
    "still",
    "pan_left",
    "pan_right",
    "tilt_up",
    "tilt_down",
    "zoom_in",
    "zoom_out",
    "shaking",
    "covered",
)

# Camera direction (right, down) of the labels that turn the camera.
DIRECTIONS = {
    "pan_left": (-1.0, 0.0),
    "pan_right": (1.0, 0.0),
    "tilt_up": (0.0, -1.0),
    "tilt_down": (0.0, 1.0),
}
# Sign of the content's growth.
GROWTH = {"zoom_in": 1.0, "zoom_out": -1.0}


class Span(NamedTuple):
    """A closed interval of a quantity."""

    low: float
    high: float


STILL_SPEED_MAX = 0.01
"""sides/s: a still camera drifts no faster."""
STILL_ZOOM_MAX = 0.006
"""1/s: natural logarithm of the content's growth; a still camera zooms no faster."""
STILL_JITTER_MAX = 0.004
"""sides: root mean square displacement of a still camera (wind, traffic)."""

TURN_SPEED = Span(0.06, 1.2)
"""sides/s: pans and tilts (0.03 to 0.7 frame widths/s of 16:9 video)."""
CROSS_RATIO_MAX = 0.33
"""Speed across a pan or tilt over the speed along it; nothing is generated near the diagonal."""
TURN_ZOOM_RATIO_MAX = 0.15
"""1/s of growth per side/s: zoom that may accompany a pan or tilt."""

ZOOM_RATE = Span(0.06, 0.6)
"""1/s: natural logarithm of the growth, 6 % to 82 % a second."""
ZOOM_DRIFT_RATIO_MAX = 0.15
"""sides/s per 1/s: drift of the picture's centre that may accompany a zoom."""

TURN_JITTER_RATIO_MAX = 0.06
"""Root mean square jitter over the distance travelled in a second, during pans, tilts, zooms."""
JITTER_MAX = 0.012
"""sides: jitter that may accompany motion, whatever its speed."""

SHAKE_AMPLITUDE = Span(0.018, 0.12)
"""sides: root mean square displacement of a shaken camera about its mean, over a window."""
SHAKE_FREQUENCY = Span(2.0, 12.0)
"""Hz: the components of shaking."""
SHAKE_ROLL_MAX = 0.06
"""rad: root mean square roll of a shaken camera."""

STEADY_ROLL_MAX = 0.03
"""rad/s: roll that may accompany any motion."""

COVER_VISIBLE_MAX = 0.08
"""Share of the picture's area that may still show the scene when the lens is covered."""
FOREGROUND_SHARE_MAX = 0.5
"""Share of the picture's area that moving objects may hide while the scene counts as visible."""
TRAFFIC_SHARE_MAX = 0.7
"""The same before a still camera: a bus or a column of people may fill most of the picture."""
DETAIL_MIN = 2.5
"""Grey levels per 1/64 side: gradient of a patch whose motion can be seen."""
DETAILED_CELLS_MIN = 6
"""Of 4 x 4 patches of the picture, those that must reach `DETAIL_MIN` along the motion."""


def label_index(label: str) -> int:
    """The label's class index. Raises ValueError for an unknown label."""
    return LABELS.index(label)
