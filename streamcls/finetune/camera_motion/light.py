"""Light, sensor and weather: what changes every pixel without any motion of the camera."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.frames import RgbImage

_BANK_SIDE = 768  # pixels of the stored noise; larger than that is tiled
_GRAIN_MAX = 14.0  # grey levels of noise at the network's resolution, night


@dataclass(frozen=True, slots=True)
class Light:
    """Exposure, contrast, colour and flicker as a function of time.

    Attributes:
        contrast: gain about mid-grey.
        level: brightness added, grey levels.
        gamma: exponent.
        tint: gain of each colour.
        grey: whether the camera sends grey pictures.
        drift: change of the logarithm of the gain per second; exposure control.
        step: (time in s, log gain after it): a lamp is switched.
        flicker: relative amplitude, frequency in Hz.
        bands: amplitude in grey levels, bands per picture height, speed in heights/s.
    """

    contrast: float = 1.0
    level: float = 0.0
    gamma: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: bool = False
    drift: float = 0.0
    step: tuple[float, float] = (0.0, 0.0)
    flicker: tuple[float, float] = (0.0, 0.0)
    bands: tuple[float, float, float] = (0.0, 1.0, 0.0)

    def apply(self, frame: RgbImage, time_s: float) -> RgbImage:
        """The frame in this light."""
        if self.grey:
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            frame = np.asarray(cv2.merge([grey, grey, grey]), np.uint8)
        lit = np.asarray(cv2.LUT(frame, self._table(time_s)), np.uint8)
        depth, count, speed = self.bands
        if depth:
            rows = np.arange(lit.shape[0]) / lit.shape[0]
            wave = depth * np.sin(2 * np.pi * (count * rows + speed * time_s))
            lit = np.clip(lit + wave[:, None, None], 0, 255).astype(np.uint8)
        return lit

    def _table(self, time_s: float) -> npt.NDArray[np.uint8]:
        gain = np.exp(self.drift * time_s + (self.step[1] if time_s > self.step[0] else 0.0))
        gain *= 1 + self.flicker[0] * np.sin(2 * np.pi * self.flicker[1] * time_s)
        curve = 255 * (np.arange(256) / 255) ** self.gamma
        curve = ((curve - 128) * self.contrast + 128 + self.level) * gain
        table = np.clip(curve[:, None] * np.array(self.tint), 0, 255).astype(np.uint8)
        return np.asarray(table.reshape(1, 256, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Sensor:
    """Noise, weather and a codec's traces.

    Attributes:
        grain: standard deviation of the noise, grey levels at the network's resolution.
        chroma: whether the noise is coloured.
        rain: streaks per frame; `snow` makes them dots.
        snow: see `rain`.
        quality: JPEG quality of each frame, cycled through; 0 for none.
        hold: a block keeps its old pixels while it changes by less than this, grey levels.
    """

    grain: float = 0.0
    chroma: bool = True
    rain: int = 0
    snow: bool = False
    quality: tuple[int, ...] = ()
    hold: float = 0.0

    def weather(self, frame: RgbImage, rng: np.random.Generator) -> None:
        """Draw fresh rain or snow into the frame."""
        if not self.rain:
            return
        rows, columns = frame.shape[:2]
        unit = min(rows, columns)
        length = 0.0 if self.snow else rng.uniform(0.05, 0.15) * unit
        starts = rng.uniform(0, [columns, rows], (self.rain, 2))
        ends = starts + np.array([0.15 * length, length])
        shade = int(rng.integers(150, 230))
        for start, end in zip(starts.astype(int), ends.astype(int), strict=True):
            cv2.line(
                frame, start.tolist(), end.tolist(), (shade, shade, shade), max(1, unit // 200)
            )

    def noise(self, frame: RgbImage, rng: np.random.Generator) -> RgbImage:
        """The frame with sensor noise."""
        if not self.grain:
            return frame
        rows, columns = frame.shape[:2]
        # Shrinking a picture averages its noise away; larger pictures start with more.
        sigma = self.grain * max(1.0, min(rows, columns) / 64) ** 0.7
        bank = _noise_bank()
        tops = rng.integers(0, max(1, _BANK_SIDE - rows), 3 if self.chroma else 1)
        lefts = rng.integers(0, max(1, _BANK_SIDE - columns), 3 if self.chroma else 1)
        layers = [
            _tiled(bank[top:, left:], rows, columns) for top, left in zip(tops, lefts, strict=True)
        ]
        layers = layers if self.chroma else layers * 3
        noisy = frame + cv2.merge(layers) * np.float32(sigma)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def compress(self, frames: list[RgbImage]) -> list[RgbImage]:
        """The frames as a lossy codec would leave them."""
        if self.quality:
            frames = [
                _jpeg(frame, self.quality[index % len(self.quality)])
                for index, frame in enumerate(frames)
            ]
        return _held(frames, self.hold) if self.hold else frames


def draw_light(rng: np.random.Generator) -> Light:
    """Plain daylight often; else dim, foggy, tinted, grey, changing or flickering light."""
    contrast = rng.uniform(0.8, 1.2) if rng.random() < 0.6 else np.exp(rng.uniform(-1.6, 0.3))
    room = 110 * max(0.0, 1 - contrast)
    tint = rng.uniform(0.8, 1.2, 3)
    changing, flickers, banded = rng.random(3) < [0.2, 0.12, 0.04]
    switched = rng.random() < 0.05
    return Light(
        contrast=float(contrast),
        level=float(rng.uniform(-room, room) + rng.uniform(-15, 15)),
        gamma=float(np.exp(rng.uniform(-0.5, 0.7))),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        grey=bool(rng.random() < 0.15),
        drift=float(changing * rng.uniform(-0.6, 0.6)),
        step=(float(rng.uniform(0, 1.2)), float(switched * rng.uniform(-0.6, 0.6))),
        flicker=(float(flickers * rng.uniform(0.02, 0.25)), float(rng.uniform(0.5, 15))),
        bands=(
            float(banded * rng.uniform(2, 12)),
            float(rng.uniform(0.5, 4)),
            float(rng.uniform(-3, 3)),
        ),
    )


def draw_sensor(rng: np.random.Generator) -> Sensor:
    """Clean, noisy, wet or compressed."""
    noisy, wet, packed, held = rng.random(4) < [0.5, 0.06, 0.35, 0.2]
    qualities = rng.integers(12, 70, rng.choice([1, 1, 4]))
    return Sensor(
        grain=float(noisy * _GRAIN_MAX * rng.uniform(0.02, 1) ** 2.5),
        chroma=bool(rng.random() < 0.6),
        rain=int(wet * rng.integers(5, 50)),
        snow=bool(rng.random() < 0.3),
        quality=tuple(int(quality) for quality in qualities) if packed else (),
        hold=float(held * rng.uniform(1, 4)),
    )


@cache
def _noise_bank() -> npt.NDArray[np.float32]:
    """Unit noise, slightly smooth: real sensors denoise. The same in every process."""
    noise = np.random.default_rng(7).normal(0, 1, (_BANK_SIDE, _BANK_SIDE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 0.6)
    return np.asarray(smooth / smooth.std(), np.float32)


def _tiled(bank: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
    tiles = (-(-rows // bank.shape[0]), -(-columns // bank.shape[1]))
    wide = np.tile(bank, tiles) if max(tiles) > 1 else bank
    return np.ascontiguousarray(wide[:rows, :columns])


def _jpeg(frame: RgbImage, quality: int) -> RgbImage:
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _held(frames: list[RgbImage], threshold: float) -> list[RgbImage]:
    """Blocks that barely change repeat their old pixels, as a codec's skipped blocks do."""
    shown = [frames[0]]
    rows, columns = frames[0].shape[:2]
    blocks = (max(1, columns // 4), max(1, rows // 4))
    for frame in frames[1:]:
        change = cv2.absdiff(frame, shown[-1]).max(axis=2)
        moved = cv2.resize(change, blocks, interpolation=cv2.INTER_AREA) > threshold
        mask = cv2.resize(moved.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST)
        shown.append(np.where(mask[:, :, None] > 0, frame, shown[-1]))
    return shown
