"""Which decision settings are in force: for each key, the most specific table that has it speaks.

From the most specific: `streams[i].decisions.labels.LABEL`, `streams[i].decisions`,
`decisions.labels.LABEL`, `decisions`, the model file's defaults: for the label, for all.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from streamcls.config.sections import (
    DecisionSettings,
    LabelDecisionSettings,
    Settings,
    StreamSettings,
)
from streamcls.errors import ConfigError

_KEYS = LabelDecisionSettings.__struct_fields__


def decisions_in_force(
    settings: Settings,
    stream: StreamSettings,
    *,
    labels: Sequence[str],
    defaults: Mapping[str, float],
    background_label: str | None,
    label_defaults: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> dict[str, dict[str, float]]:
    """What one stream's decisions go by.

    Args:
        labels: all of the model's.
        defaults: the model file's, a value for each key of `LabelDecisionSettings`.
        background_label: the model file's, in force unless a table names another or, with an
            empty text, none.
        label_defaults: the model file's for single labels, which may be a few keys.

    Returns:
        Label to key to value, for each label but the background one.

    Raises:
        ConfigError: a table names a label that the model lacks, or for a label the thresholds come
            out the wrong way round.
    """
    general = ("decisions", settings.decisions)
    own = (f"streams[{settings.streams.index(stream)}].decisions", stream.decisions)
    for place, scope in (general, own):
        _check_labels(place, scope, labels)
        if scope.background_label is not None:
            background_label = scope.background_label
    _check_background(settings, general, own, background_label)
    return {
        label: _in_force(label, _tables(label, general, own), defaults, label_defaults)
        for label in labels
        if label != background_label
    }


def label_table(place: str, label: str) -> str:
    """The dotted name of a label's table, quoted as TOML wants it."""
    bare = re.fullmatch("[A-Za-z0-9_-]+", label)
    return f"{place}.labels.{label if bare else json.dumps(label, ensure_ascii=False)}"


def _tables(
    label: str, *scopes: tuple[str, DecisionSettings]
) -> list[tuple[str, LabelDecisionSettings]]:
    """The tables that may speak of a label, by name, the most specific one last."""
    tables: list[tuple[str, LabelDecisionSettings]] = []
    for place, scope in scopes:
        tables.append((place, scope))
        if label in scope.labels:
            tables.append((label_table(place, label), scope.labels[label]))
    return tables


def _in_force(
    label: str,
    tables: list[tuple[str, LabelDecisionSettings]],
    defaults: Mapping[str, float],
    label_defaults: Mapping[str, Mapping[str, float]],
) -> dict[str, float]:
    own = label_defaults.get(label, {})
    values = {key: own.get(key, defaults[key]) for key in _KEYS}
    said_by = {key: f"the model file's {f'{label!r} ' if key in own else ''}{key}" for key in _KEYS}
    for place, table in tables:
        for key in _KEYS:
            value = getattr(table, key)
            if value is not None:
                values[key], said_by[key] = value, f"`{place}.{key}`"
    on, off = values["on_threshold"], values["off_threshold"]
    if off > on:
        raise ConfigError(
            f"{said_by['off_threshold']} = {off:g} is above {said_by['on_threshold']} = {on:g}, so"
            " an event would end as it begins; set both thresholds together, in one table"
        )
    return values


def _check_background(
    settings: Settings,
    general: tuple[str, DecisionSettings],
    own: tuple[str, DecisionSettings],
    background_label: str | None,
) -> None:
    """Refuse a table for the label that opens no event, which would be without effect."""
    scopes = [own]
    if all(stream.decisions.background_label is None for stream in settings.streams):
        scopes.append(general)  # else it may be meant for a stream with another background
    for place, scope in scopes:
        if background_label and background_label in scope.labels:
            raise ConfigError(
                f"`{label_table(place, background_label)}`: {background_label!r} is the background"
                " label, which opens no event; remove the table, or set `background_label`"
            )


def _check_labels(place: str, scope: DecisionSettings, labels: Sequence[str]) -> None:
    named = [(label_table(place, label), label) for label in scope.labels]
    if scope.background_label:
        named.append((f"{place}.background_label", scope.background_label))
    for key, label in named:
        if label not in labels:
            raise ConfigError(
                f"`{key}`: the model has no label {label!r}; it has {', '.join(labels)}"
            )
