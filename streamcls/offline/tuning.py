"""Decisions chosen for a model on labelled recordings: thresholds per label, for event F1.

Each recording is scored once; what is searched over is decided from the stored scores. Labels do
not know of each other, so one pass over the scores tries a candidate for every label at once, and
each label keeps its own best. The search goes round the coordinates (on threshold, off threshold,
minimum duration, smoothing) until none moves. Without chance: the same scores, the same choice.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from streamcls.errors import ConfigError, DataError
from streamcls.lane import LaneSettings
from streamcls.models.bundle import check_target
from streamcls.models.manifest import (
    DecisionDefaults,
    LabelDecisionDefaults,
    read_manifest,
)
from streamcls.offline.scored import ScoredRecording, decide
from streamcls.offline.scoring import match, together
from streamcls.offline.tracks import Segment, Track
from streamcls.pipeline.decisions import Policy

_THRESHOLDS = tuple(step / 20 for step in range(1, 20))
_GRID: dict[str, tuple[float, ...]] = {
    "on_threshold": _THRESHOLDS,
    "off_threshold": _THRESHOLDS,
    "min_duration_s": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
    "smoothing_s": (0.0, 0.25, 0.5, 1.0, 2.0),
}
_ROUNDS = 3

Policies = dict[str, Policy]


def tuned(
    settings: LaneSettings, scored: Sequence[ScoredRecording], tracks: Mapping[Path, Track]
) -> DecisionDefaults:
    """Choose each label's thresholds and durations for event F1 on labelled recordings.

    Among equally good thresholds the middle of the widest stretch is taken, where a small change
    of the scores does least harm. A label without any segment keeps what it has, since nothing
    tells how well it would do.

    Args:
        settings: how the recordings were read; its policies are where the search begins.

    Raises:
        DataError: no recording has a segment of a label that opens events.
    """
    model = settings.engine.model
    given = zip(model.labels, settings.policies, strict=True)
    policies = {label: policy for label, policy in given if policy is not None}
    wanted = {segment.label for one in scored for segment in tracks[one.name]} & set(policies)
    if not wanted:
        raise DataError("the label tracks hold no segment of a label that opens events")
    search = _Search(scored, tracks, model.labels, sorted(wanted))
    for _ in range(_ROUNDS):
        before = policies
        for key in _GRID:
            policies = search.improved(policies, key)
        if policies == before:
            break
    defaults = model.manifest.decisions
    chosen = {label: _as_defaults(policies[label]) for label in search.wanted}
    return msgspec.structs.replace(defaults, labels=defaults.labels | chosen)


def policies_of(defaults: DecisionDefaults, labels: Sequence[str]) -> list[Policy | None]:
    """Each label's policy where nobody overrules the model file; None for the background one."""
    general, single = defaults.for_labels(), defaults.for_single_labels()
    return [
        None if label == defaults.background_label else Policy(**general | single.get(label, {}))
        for label in labels
    ]


def rewrite_decisions(source: Path, defaults: DecisionDefaults, out: Path) -> None:
    """Write a model file again with other decision defaults; its weights stay byte for byte.

    Raises:
        ModelError: `source` is no model file.
        ConfigError: `defaults` do not fit the model, or `out` cannot be written.
    """
    check_target(out)
    try:
        manifest = msgspec.structs.replace(read_manifest(source), decisions=defaults)
    except ValueError as error:
        raise ConfigError(f"{source} cannot take these decisions: {error}") from None
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(_with_metadata(source.read_bytes(), manifest.to_metadata()))
        os.replace(unfinished, out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


class _Search:
    """Candidates for one coordinate at a time, scored for all wanted labels together."""

    def __init__(
        self,
        scored: Sequence[ScoredRecording],
        tracks: Mapping[Path, Track],
        labels: Sequence[str],
        wanted: Sequence[str],
    ) -> None:
        self.wanted = wanted
        self._scored = scored
        self._tracks = tracks
        self._labels = labels
        self._known: dict[tuple[str, Policy], float] = {}

    def improved(self, policies: Policies, key: str) -> Policies:
        """Each wanted label's best value of one key, the others as they are."""
        trials = [
            {label: _trial(policies[label], key, value) for label in self.wanted}
            for value in _GRID[key]
        ]
        ladders = [self._f1(trial) for trial in trials]
        now = self._f1({label: policies[label] for label in self.wanted})
        best: Policies = {}
        for label in self.wanted:
            ladder = [step[label] for step in ladders]
            # A duration moves only where that gains something; a threshold also to the middle.
            enough = max(ladder) > now[label] or key.endswith("threshold")
            if enough and max(ladder) >= now[label]:
                policy = trials[middle_of_best(ladder)][label]
                assert policy is not None  # only what can be has a score
                best[label] = policy
        return policies | best

    def _f1(self, trial: Mapping[str, Policy | None]) -> dict[str, float]:
        """Event F1 of each label by its policy of this trial; below 0 where there is none."""
        new = {
            label: policy
            for label, policy in trial.items()
            if policy and (label, policy) not in self._known
        }
        if new:
            row = [new.get(label) for label in self._labels]
            matching = together(
                [
                    match(decide(one, row, self._labels), self._track(one, new))
                    for one in self._scored
                ]
            )
            for label, policy in new.items():
                self._known[label, policy] = matching.of(label).f1 or 0.0
        return {
            label: self._known[label, policy] if policy else -1.0 for label, policy in trial.items()
        }

    def _track(self, one: ScoredRecording, labels: Iterable[str]) -> list[Segment]:
        return [segment for segment in self._tracks[one.name] if segment.label in labels]


def middle_of_best(ladder: Sequence[float]) -> int:
    """The index in the middle of the longest run of the largest value; of equal runs the first."""
    best = max(ladder)
    runs = [
        [index for index, _ in run]
        for value, run in groupby(enumerate(ladder), key=lambda item: item[1])
        if value == best
    ]
    longest = max(runs, key=len)
    return longest[(len(longest) - 1) // 2]


def _trial(policy: Policy, key: str, value: float) -> Policy | None:
    """The policy with one value changed; None where that cannot be."""
    if key == "on_threshold":
        return replace(policy, on_threshold=value, off_threshold=min(policy.off_threshold, value))
    if key == "off_threshold" and value > policy.on_threshold:
        return None
    return replace(policy, **{key: value})


def _as_defaults(policy: Policy) -> LabelDecisionDefaults:
    return LabelDecisionDefaults(**{key: getattr(policy, key) for key in _GRID})


def _with_metadata(file: bytes, metadata: dict[str, str]) -> bytes:
    """A safetensors file with other metadata: 8 bytes of header length, JSON header, tensors."""
    length = int.from_bytes(file[:8], "little")
    header: dict[str, Any] = json.loads(file[8 : 8 + length])
    header["__metadata__"] |= metadata
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)  # the tensors stay aligned
    return len(encoded).to_bytes(8, "little") + encoded + file[8 + length :]
