"""Backends against eager torch, the oracle: the same clips, scored in turn, compared and timed."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamcls.frames import RgbClip
from streamcls.models.backends.backend import Backend
from streamcls.models.golden import golden_clip, golden_windows
from streamcls.transforms import ClipSpec

Clock = Callable[[], float]

_FLOAT_TOLERANCE = 1e-3
_TOLERANCE = {"bf16": 3e-2, "fp16": 1e-2}
"""Allowed differences, as of `Runner.off_by`, by what is in a backend's name. Float32 gives about
1e-6, bf16 up to 1e-2; fp16 has three bits more."""
_LEAST_RANGE = 1e-3
_TRIAL_S = 0.5
_MOST_ROUNDS = 15
_COLD = 2  # windows until all that comes again was seen: where pairs are kept, in both phases
_LONG_S = 5.0
"""A network so slow that the golden clip alone takes longer is tried on nothing else."""


@dataclass(slots=True)
class Runner:
    """A backend on trial.

    Attributes:
        built_s: how long it took until it was there, loaded or converted.
        times_s, scores: of each round.
    """

    backend: Backend
    built_s: float = 0.0
    times_s: list[float] = field(default_factory=list)
    scores: list[npt.NDArray[np.float32]] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        """What a clip takes."""
        return float(np.median(self.times_s))

    def off_by(self, oracle: "Runner") -> float:
        """The greatest difference from the oracle's scores, in parts of the range they span.

        So it says as much where a model of many labels is sure of none. Two labels change places
        only where their scores lie within twice that.
        """
        theirs = np.concatenate(oracle.scores)
        difference = float(np.abs(np.concatenate(self.scores) - theirs).max())
        return difference / max(float(np.ptp(theirs)), _LEAST_RANGE)

    def problem(self, oracle: "Runner") -> str:
        """What is wrong with its scores, or nothing."""
        words = self.backend.name.split("-")
        allowed = max(_TOLERANCE.get(word, _FLOAT_TOLERANCE) for word in words)
        off = self.off_by(oracle)
        # Written so that a NaN, which compares false with everything, is refused too.
        if off <= allowed:
            return ""
        return f"its scores are off by {off:.2g} of the range of torch's, allowed {allowed:g}"


def race(
    runners: Sequence[Runner],
    spec: ClipSpec,
    clock: Clock = time.perf_counter,
    *,
    stride: int | None = None,
) -> None:
    """Let each score the same clips in turn, so that what else runs slows all alike.

    Args:
        stride: frames from one window of a stream to the next; given where some keep what windows
            share. All are then timed on such windows, after the first.
    """
    clips = trial_clips(spec)
    timed: Iterator[RgbClip] = itertools.cycle(clips)
    for runner in runners:
        runner.backend.warm_up([1])
    if stride:
        timed = golden_windows(spec, stride)
        for clip in (*clips, *itertools.islice(timed, _COLD)):
            for runner in runners:
                runner.scores.append(runner.backend.scores([clip]))
    started = clock()
    for number, clip in zip(range(_MOST_ROUNDS), timed, strict=False):
        if number and clock() - started > (_TRIAL_S if number >= len(clips) else _LONG_S):
            return
        for runner in runners:
            before = clock()
            scores = runner.backend.scores([clip])
            runner.times_s.append(clock() - before)
            runner.scores.append(scores)


def trial_clips(spec: ClipSpec) -> list[RgbClip]:
    """The golden clip, the same backwards, and its mirrored negative."""
    clip = golden_clip(spec)
    return [clip, clip[::-1].copy(), 255 - clip[:, :, ::-1]]
