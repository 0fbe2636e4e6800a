"""A FiftyOne dataset: video samples with a classification, or with temporal detections."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.data.records import Record


def from_fiftyone(
    dataset: Any, field: str = "ground_truth", group: str | None = None
) -> list[Record]:
    """The records of a dataset or a view of one.

    Args:
        dataset: a FiftyOne dataset or view of videos, or a dataset's name.
        field: of each sample: a `Classification`, `Classifications`, or `TemporalDetections`.
        group: the field that names each sample's scene or recording, if there is one.

    Raises:
        MissingExtra: a name was given, and FiftyOne is not installed.
        DataError: no sample has labels in that field, or they are of another kind.
    """
    if isinstance(dataset, str):
        dataset = _load(dataset)
    records = [record for sample in dataset for record in _of_sample(sample, field, group)]
    if not records:
        raise DataError(f"no sample of the FiftyOne dataset has labels in its field {field!r}")
    return records


def _load(name: str) -> Any:
    try:
        import fiftyone  # noqa: PLC0415 (a large extra of its own)
    except ImportError:
        raise MissingExtra("Reading a FiftyOne dataset by name", "fiftyone") from None
    if not fiftyone.dataset_exists(name):
        raise DataError(f"there is no FiftyOne dataset {name!r}; see `fiftyone datasets list`")
    return fiftyone.load_dataset(name)


def _of_sample(sample: Any, field: str, group: str | None) -> Iterator[Record]:
    path, labels = Path(sample.filepath), sample[field]
    of_group = str(sample[group] or "") if group else ""
    kind = type(labels).__name__
    if labels is None:
        return
    if kind == "Classification":
        yield Record(path, (labels.label,), group=of_group)
    elif kind == "Classifications":
        named = tuple(one.label for one in labels.classifications)
        yield Record(path, named, group=of_group)
    elif kind == "TemporalDetections":
        rate = sample.metadata.frame_rate if sample.metadata else None
        if not rate:
            raise DataError(f"{path} has no metadata; run dataset.compute_metadata() first")
        for one in labels.detections:
            first, last = one.support  # frames count from 1, both within
            yield Record(path, (one.label,), (first - 1) / rate, last / rate, of_group)
    else:
        raise DataError(f"{path}: field {field!r} holds {kind}; give one of classes or of times")
