"""Virtual camera paths: pure functions from time to pose.

A pose is (x, y, zoom, roll): the camera's displacement right and down in sides, the natural
logarithm of the content's magnification, and the camera's clockwise roll in radians.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion import labels as c

Array = npt.NDArray[np.float64]

RAMP_S = 0.2
"""Seconds in which a motion starts or stops."""
_STEP_S = 1 / 200  # of the numeric integral; velocities are smooth at this scale
_COMPONENTS = 4  # sinusoids of a shake: several, so that no sampling rate can hide it


@dataclass(frozen=True, slots=True)
class Motion:
    """One steady kind of camera motion.

    Attributes:
        velocity: right, down (sides/s), growth (1/s), roll (rad/s).
        swell: relative amplitude, frequency (Hz) and phase of a slow change of speed.
        shake: rows of frequency (Hz), phases (3) and amplitudes of x, y (sides) and roll (rad).
    """

    velocity: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    swell: tuple[float, float, float] = (0.0, 1.0, 0.0)
    shake: Array = field(default_factory=lambda: np.zeros((0, 7)))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A motion from `start_s` to `end_s`."""

    motion: Motion
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """From which ranges motions are drawn; by default everything that carries the label."""

    turn: c.Span = c.TURN_SPEED
    zoom: c.Span = c.ZOOM_RATE
    shake: c.Span = c.SHAKE_AMPLITUDE


MODERATE = Pace(c.Span(0.12, 0.35), c.Span(0.12, 0.3), c.Span(0.03, 0.06))
"""What an operator would call plain cases; for demonstrations."""


def draw_motion(label: str, rng: np.random.Generator, pace: Pace | None = None) -> Motion:
    """Draw a motion of a class; `covered` moves like `still`."""
    pace = pace or Pace()
    if label in c.DIRECTIONS:
        return _draw_turn(c.DIRECTIONS[label], pace.turn, rng)
    if label in c.GROWTH:
        return _draw_zoom(c.GROWTH[label], pace.zoom, rng)
    if label == "shaking":
        return _draw_shake(pace.shake, rng)
    return _draw_still(rng)


def poses(stretches: Sequence[Stretch], times_s: Array) -> Array:
    """Poses at the given times, starting from zero at the first stretch's start.

    Args:
        stretches: successive, without gaps.
        times_s: ascending, within the stretches or after them.

    Returns:
        Shape (times, 4): x, y, zoom, roll.
    """
    origin, end = stretches[0].start_s, max(stretches[-1].end_s, float(times_s[-1]))
    fine: Array = origin + _STEP_S * np.arange(int((end - origin) / _STEP_S) + 2, dtype=np.float64)
    speed = np.zeros((len(fine), 4))
    sway = np.zeros((len(times_s), 4))
    for index, stretch in enumerate(stretches):
        motion = stretch.motion
        last = index == len(stretches) - 1
        envelope = _envelope(fine, stretch, rise=index > 0, fall=not last)
        depth, frequency, phase = motion.swell
        swell = 1 + depth * np.sin(2 * np.pi * frequency * fine + phase)
        speed += (envelope * swell)[:, None] * np.array(motion.velocity)
        if len(motion.shake):
            envelope = _envelope(times_s, stretch, rise=index > 0, fall=not last)
            sway += envelope[:, None] * _sway(motion.shake, times_s)
    path = np.zeros_like(speed)
    path[1:] = np.cumsum((speed[1:] + speed[:-1]) * (_STEP_S / 2), axis=0)
    steady = np.stack([np.interp(times_s, fine, path[:, axis]) for axis in range(4)], axis=1)
    return np.asarray(steady + sway, np.float64)


def content_motion(before: Array, after: Array) -> Array:
    """How the picture's content moves between poses: right, down (sides), growth (log), roll.

    Args:
        before, after: shape (..., 4).
    """
    step = after - before
    scale = np.exp((before[..., 2:3] + after[..., 2:3]) / 2)
    shift = -step[..., :2] * scale
    return np.concatenate([shift, step[..., 2:3], -step[..., 3:4]], axis=-1)


def _envelope(times_s: Array, stretch: Stretch, *, rise: bool, fall: bool) -> Array:
    """1 inside the stretch, 0 outside, with ramps where it meets another."""
    value = np.ones_like(times_s)
    if rise:
        value = np.minimum(value, np.clip((times_s - stretch.start_s) / RAMP_S, 0, 1))
    if fall:
        value = np.minimum(value, np.clip((stretch.end_s - times_s) / RAMP_S + 1, 0, 1))
    return value


def _sway(shake: Array, times_s: Array) -> Array:
    """Displacement (times, 4) of a sum of sinusoids."""
    angle = 2 * np.pi * shake[:, 0] * times_s[:, None]
    waves = np.sin(angle[..., None] + shake[None, :, 1:4]) * shake[None, :, 4:7]
    total = waves.sum(axis=1)
    return np.stack([total[:, 0], total[:, 1], np.zeros(len(times_s)), total[:, 2]], axis=1)


def _draw_turn(direction: tuple[float, float], speeds: c.Span, rng: np.random.Generator) -> Motion:
    speed = _log_uniform(speeds, rng)
    # The slowest speeds of a swelling pan must stay above the range's lower end.
    depth = min(rng.uniform(0, 0.4), max(0.0, 1 - c.TURN_SPEED.low / speed))
    across = speed * c.CROSS_RATIO_MAX * rng.choice([0, 1], p=[0.4, 0.6]) * rng.uniform(-1, 1)
    right = direction[0] * speed + abs(direction[1]) * across
    down = direction[1] * speed + abs(direction[0]) * across
    growth = speed * c.TURN_ZOOM_RATIO_MAX * rng.choice([0, 1]) * rng.uniform(-1, 1)
    return Motion(
        (right, down, growth, _draw_roll(rng)),
        (depth, rng.uniform(0.2, 1.0), rng.uniform(0, 2 * np.pi)),
        _draw_jitter(min(c.JITTER_MAX, c.TURN_JITTER_RATIO_MAX * speed), rng),
    )


def _draw_zoom(sign: float, rates: c.Span, rng: np.random.Generator) -> Motion:
    rate = _log_uniform(rates, rng)
    depth = min(rng.uniform(0, 0.4), max(0.0, 1 - c.ZOOM_RATE.low / rate))
    drift = rate * c.ZOOM_DRIFT_RATIO_MAX * rng.choice([0, 1]) * rng.uniform(-0.7, 0.7, 2)
    return Motion(
        (float(drift[0]), float(drift[1]), sign * rate, _draw_roll(rng)),
        (depth, rng.uniform(0.2, 1.0), rng.uniform(0, 2 * np.pi)),
        _draw_jitter(min(c.JITTER_MAX, c.TURN_JITTER_RATIO_MAX * rate / 2), rng),
    )


def _draw_still(rng: np.random.Generator) -> Motion:
    if rng.random() < 0.6:  # a camera on a wall does not move at all
        return Motion()
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0, c.STILL_SPEED_MAX)
    growth = rng.uniform(-c.STILL_ZOOM_MAX, c.STILL_ZOOM_MAX)
    return Motion(
        (speed * np.cos(angle), speed * np.sin(angle), growth, 0.0),
        shake=_draw_jitter(c.STILL_JITTER_MAX, rng),
    )


def _draw_shake(amplitudes: c.Span, rng: np.random.Generator) -> Motion:
    amplitude = _log_uniform(amplitudes, rng)
    # One direction may dominate: a pole swings, a camera on a car goes up and down.
    angle, ratio = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 1.0)
    axes = np.array([np.cos(angle), np.sin(angle)])
    sides = np.sqrt(axes**2 + (ratio * axes[::-1]) ** 2)
    sides *= amplitude / np.linalg.norm(sides)
    roll = rng.choice([0, 1]) * rng.uniform(0, min(c.SHAKE_ROLL_MAX, amplitude))
    return Motion(shake=_components(sides[0], sides[1], roll, c.SHAKE_FREQUENCY, rng))


def _draw_jitter(rms_max: float, rng: np.random.Generator) -> Array:
    """Small handheld sway, or none."""
    if rng.random() < 0.4:
        return np.zeros((0, 7))
    rms = rng.uniform(0, rms_max) / np.sqrt(2)
    return _components(rms, rms, 0.3 * rms, c.Span(0.5, 8.0), rng)


def _components(
    rms_x: float, rms_y: float, rms_roll: float, frequency: c.Span, rng: np.random.Generator
) -> Array:
    """Sinusoids whose sum has the given root mean squares."""
    weights = rng.uniform(0.3, 1.0, (_COMPONENTS, 3))
    weights *= np.sqrt(2) / np.linalg.norm(weights, axis=0)
    frequencies = np.exp(rng.uniform(np.log(frequency.low), np.log(frequency.high), _COMPONENTS))
    phases = rng.uniform(0, 2 * np.pi, (_COMPONENTS, 3))
    amplitudes = weights * np.array([rms_x, rms_y, rms_roll])
    return np.concatenate([frequencies[:, None], phases, amplitudes], axis=1)


def _draw_roll(rng: np.random.Generator) -> float:
    return float(rng.choice([0, 1]) * rng.uniform(-c.STEADY_ROLL_MAX, c.STEADY_ROLL_MAX))


def _log_uniform(span: c.Span, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(span.low), np.log(span.high))))
