"""ClipSpec: the numbers a network was trained on, which serving must repeat exactly."""

import hashlib
from fractions import Fraction
from typing import Any

import msgspec

from streamcls.errors import ModelError


class PixelRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a decoder's picture becomes RGB. Two recipes differ by several grey levels.

    Each value names a rule that `pixels` implements; a file that names another is refused
    rather than served with different pixels.
    """

    matrix: str = "stream"
    """The stream's declared YUV matrix; undeclared: BT.709 from 720 lines up, else BT.601."""
    range: str = "stream"
    """The stream's declared range; undeclared: limited (16..235)."""
    filter: str = "mipmap"
    """How planes are scaled, before RGB. `mipmap`: halved by averaging 2 x 2 pixels (half up; an
    odd last row or column is left out) while that leaves both sides at least as large as asked,
    then bilinear, in integers that are the same on every machine. `area`: averages of the covered
    pixels (bilinear when enlarging), as in model files written before there was a choice; on
    cameras' pictures it costs some five times as much."""
    rounding: str = "half-even"
    """RGB is computed in float32, rounded half to even and clamped to 0..255."""


_FILTERS = ("mipmap", "area")


class ClipSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one clip is for one network.

    Attributes:
        num_frames: T, frames in a clip.
        sampling_rate, trained_fps: every `sampling_rate`-th frame of video at `trained_fps`
            was taken in training; their quotient is the interval between clip frames.
        short_side: pixels of the scaled picture's shorter side; the aspect is kept.
        crop: side of the centred square that the network sees, in pixels.
        mean, std: per channel (R, G, B), of values in [0, 1].
        pathways: temporal stride of each input pathway; (1,) for one, (4, 1) for SlowFast.

    Raises:
        ValueError: a number is out of range; the text says which and what it may be.
    """

    num_frames: int
    sampling_rate: int
    trained_fps: int | float
    short_side: int
    crop: int
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
    pathways: tuple[int, ...] = (1,)
    pixels: PixelRecipe = PixelRecipe()

    def __post_init__(self) -> None:
        for name in ("num_frames", "sampling_rate", "trained_fps", "short_side", "crop"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.num_frames < 2:
            raise ValueError(f"num_frames is {self.num_frames}; a clip has at least 2 frames")
        if self.crop > self.short_side:
            raise ValueError(f"crop {self.crop} is larger than short_side {self.short_side}")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; each value must be above 0")
        if not self.pathways or any(self.num_frames % stride for stride in self.pathways):
            raise ValueError(f"pathways {self.pathways} do not divide {self.num_frames} frames")
        if self.pixels not in [PixelRecipe(filter=name) for name in _FILTERS]:
            raise ValueError(f"pixel recipe {self.pixels} is not one this version can follow")

    @property
    def frame_interval_s(self) -> Fraction:
        """Seconds between a clip's frames, exact: X3D-S takes every 6th of 30 fps, 1/5 s."""
        return self.sampling_rate / _exact_rate(self.trained_fps)

    @property
    def span_s(self) -> Fraction:
        """Seconds from a clip's first frame to its last."""
        return (self.num_frames - 1) * self.frame_interval_s

    def canonical_json(self) -> bytes:
        """The spec as JSON with sorted keys and no spaces: equal specs, equal bytes."""
        # 30 and 30.0 are one rate and must not give two hashes.
        spec = msgspec.structs.replace(self, trained_fps=float(self.trained_fps))
        return msgspec.json.encode(spec, order="sorted")

    def hash(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.canonical_json()).hexdigest()

    @classmethod
    def from_builtins(cls, document: Any) -> "ClipSpec":
        """Read a spec from decoded JSON.

        Raises:
            ModelError: a field is unknown, missing or out of range.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise ModelError(f"the clip spec is not valid: {error}") from None


def _exact_rate(fps: float) -> Fraction:
    """The rate a decimal stands for: 29.97 is 30000/1001, so hours of instants stay exact."""
    ntsc = Fraction(round(fps * 1.001) * 1000, 1001)
    if fps != int(fps) and abs(fps - ntsc) < 0.005:
        return ntsc
    return Fraction(fps).limit_denominator(1000)
