"""Value types that pass between stages. Units are in the names; arrays have their shapes.

`Frame -> Window -> Prediction`: one decoded frame, T grid frames gathered into one clip, and what
the network said of it. Media times are exact `Fraction` seconds on the stream's own timeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import av

RgbImage: TypeAlias = npt.NDArray[np.uint8]
"""One RGB picture, uint8, shape (height, width, 3)."""

ClipArray: TypeAlias = npt.NDArray[np.uint8]
"""T RGB pictures of one size in one array, uint8, shape (time, height, width, 3)."""

RgbClip: TypeAlias = Sequence[RgbImage] | ClipArray
"""T RGB pictures of one size, one after another: single ones, or rows of one array."""


@dataclass(frozen=True, slots=True)
class BgrImage:
    """A webcam's picture as OpenCV gives it: uint8, shape (height, width, 3), blue first."""

    pixels: npt.NDArray[np.uint8]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


RawImage: TypeAlias = Union["av.VideoFrame", BgrImage]
"""A picture still in its decoder's pixel format; only grid frames are ever converted."""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """A picture that no window needs, left as it came: what is known of it all the same.

    Has the attributes of an `av.VideoFrame` that say when it shows and how large it is.
    """

    width: int
    height: int
    rotation: int
    pts: int
    time_base: Fraction
    opaque: object = None
    dts: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, not yet converted, and decoded if any window needs it.

    `media_s` is None where the container carried no timestamp; the receive clock then serves.
    `clock_offset_s` is the camera's wall clock minus this machine's, None where it is not known.
    `behind_s` is how late it is handled, against when it was due; 0 where that is not known.
    """

    image: RawImage | Undecoded
    media_s: Fraction | None
    arrival_monotonic_s: float
    arrival_utc_s: float
    clock_offset_s: float | None = None
    behind_s: float = 0.0

    @property
    def is_decoded(self) -> bool:
        """Whether it has a picture."""
        return not isinstance(self.image, Undecoded)


@dataclass(frozen=True, slots=True)
class Window:
    """One clip to classify: T grid frames of one stream epoch.

    Attributes:
        clip: num_frames pictures of one size, already at the spec's short side. They are never
            written to, and the windows of a stream share them: the same array is the same picture.
        start_s, end_s: media time of the first and last grid instant, seconds.
        start_utc_s, end_utc_s: the same instants as POSIX seconds.
        coverage: decoded frames over expected frames in the window, 0..1.
        arrival_monotonic_s: when the window's last frame arrived, on the monotonic clock.
        closed_monotonic_s: when the window was complete and converted, on the same clock.
        clock_offset_s: the camera's wall clock minus this machine's at the window's end, seconds;
            None where the camera does not tell its time.
        lane: which of the stream's lanes cut it, and so which model is to classify it.
        stride_s: seconds from one window to the next as it was cut, which overload widens.
    """

    stream: str
    stream_epoch: int
    clip: tuple[RgbImage, ...]
    start_s: Fraction
    end_s: Fraction
    start_utc_s: float
    end_utc_s: float
    coverage: float
    arrival_monotonic_s: float
    closed_monotonic_s: float
    clock_offset_s: float | None = None
    lane: int = 0
    stride_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame brought its stream.

    Attributes:
        arrival_monotonic_s, arrival_utc_s: when the frame came, as in `Frame`.
        stream_epoch: the frame's; one that differs from the last step's means a break.
        windows: those the frame closed, oldest first.
        clock_offset_s: as in `Frame`.
        unchanged_s: how long the picture has not changed, seconds; 0 where nobody looks.
        is_decoded: as in `Frame`.
        stride_s: as in `Window`, now.
        withdraws: whether a window that waits for the network is no longer worth it.
    """

    arrival_monotonic_s: float
    arrival_utc_s: float
    stream_epoch: int
    windows: Sequence[Window] = ()
    clock_offset_s: float | None = None
    unchanged_s: float = 0.0
    is_decoded: bool = True
    stride_s: float = 0.0
    withdraws: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """The network's scores for one window.

    Attributes:
        scores: float32, shape (num_labels,), probabilities in label-index order; of a single-label
            model they sum to 1, of a multi-label one each stands alone.
        batched_monotonic_s, scored_monotonic_s: when the window left its queue and when its
            scores were on the host; with the window's own two instants they split the latency.
    """

    window: Window
    scores: npt.NDArray[np.float32]
    batched_monotonic_s: float
    scored_monotonic_s: float
