"""Labelled videos by split, from wherever they are listed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamcls.errors import DataError
from streamcls.finetune.data import fifty_one, folders, label_studio, tables, tensors
from streamcls.finetune.data.records import Record, labels_of
from streamcls.finetune.data.splitting import leaks, split_by_group
from streamcls.finetune.data.tables import Columns

Source = str | Path

_VAL_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class VideoData:
    """What to train on, what to judge by, and what else there is.

    Attributes:
        labels: in the order of the network's outputs.
        multi_label: several labels may hold at once, or none.
        test: what to measure the finished model on, once.
        predict: without labels.
        warnings: why validation may look better than it is, a sentence each.
        described: where the records came from, for the model file's provenance.
    """

    labels: tuple[str, ...]
    train: tuple[Record, ...]
    val: tuple[Record, ...]
    test: tuple[Record, ...] = ()
    predict: tuple[Record, ...] = ()
    multi_label: bool = False
    warnings: tuple[str, ...] = ()
    described: str = ""

    @classmethod
    def of(
        cls,
        train: Sequence[Record],
        val: Sequence[Record] | None = None,
        test: Sequence[Record] = (),
        predict: Sequence[Record] = (),
        *,
        multi_label: bool = False,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
        described: str = "records",
    ) -> "VideoData":
        """Data from records; what there is to judge by is split off where it is not given.

        Args:
            val_share: of the training records, for validation where `val` is None; whole groups.
            seed: of that split.

        Raises:
            DataError: fewer than two labels (one, where several may hold), a record without exactly
                one label where one is meant, splits of different labels, or no split by group.
        """
        if not multi_label:
            for record in (*train, *(val or ()), *test):
                _check_single(record)
        if val is None:
            train, val = split_by_group(train, val_share, seed=seed)
        labels = labels_of(train)
        needed = 1 if multi_label else 2
        if len(labels) < needed:
            raise DataError(
                f"{described} has {len(labels)} classes; at least {needed} are needed for training"
            )
        for split in (val, test):
            if split and (odd := set(labels_of(split)) ^ set(labels)):
                raise DataError(
                    f"{described}: the splits have different classes: {', '.join(sorted(odd))}"
                )
        return cls(
            labels,
            tuple(train),
            tuple(val),
            tuple(test),
            tuple(predict),
            multi_label,
            tuple(leaks(train, val)),
            described,
        )

    @classmethod
    def from_folders(
        cls,
        root: Source | None = None,
        *,
        train: Source | None = None,
        val: Source | None = None,
        test: Source | None = None,
        predict: Source | None = None,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """A folder per class: `train/<class>/*.mp4`, and `val`, `test` and `predict` if they exist.

        Args:
            root: holds the folders `train`, `val`, `test`, `predict`; or name each by itself.

        Raises:
            DataError: as `of`, or a folder cannot be read or has a class without a video.
        """
        named = {"train": train, "val": val, "test": test, "predict": predict}
        found = {split: Path(folder) for split, folder in named.items() if folder is not None}
        if root is not None:
            inside = {split: Path(root) / split for split in named}
            found = {s: path for s, path in inside.items() if path.is_dir()} | found
            found.setdefault("train", inside["train"])
        if "train" not in found:
            raise DataError("name a folder of training videos: root or train")
        return cls.of(
            folders.class_folders(found["train"]),
            folders.class_folders(found["val"]) if "val" in found else None,
            folders.class_folders(found["test"]) if "test" in found else (),
            folders.plain_folder(found["predict"]) if "predict" in found else (),
            val_share=val_share,
            seed=seed,
            described=str(root or found["train"]),
        )

    @classmethod
    def from_lists(
        cls,
        train_files: Sequence[Source],
        train_labels: Sequence[str | Sequence[str]],
        val_files: Sequence[Source] | None = None,
        val_labels: Sequence[str | Sequence[str]] = (),
        *,
        groups: Sequence[str] | None = None,
        multi_label: bool = False,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """Files and, one for each, a label or several.

        Args:
            groups: of the training files, for the split where no validation files are given.
        """
        return cls.of(
            tables.from_lists(train_files, train_labels, groups),
            None if val_files is None else tables.from_lists(val_files, val_labels),
            multi_label=multi_label,
            val_share=val_share,
            seed=seed,
            described="lists of files",
        )

    @classmethod
    def from_csv(
        cls,
        train: Source,
        val: Source | None = None,
        test: Source | None = None,
        *,
        root: Source | None = None,
        columns: Columns | None = None,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """CSV files of the columns `video`, `label`, and if need be `start_s`, `end_s`, `group`.

        Args:
            root: what relative file names count from; None: each CSV file's folder.
            columns: other names; with a separator or one-hot columns the data is multi-label.
        """

        def read(path: Source) -> list[Record]:
            return tables.read_csv(
                Path(path), columns or Columns(), None if root is None else Path(root)
            )

        return cls._of_tables(read, train, val, test, columns, val_share, seed, str(train))

    @classmethod
    def from_data_frame(
        cls,
        train: Any,
        val: Any = None,
        test: Any = None,
        *,
        root: Source = "",
        columns: Columns | None = None,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """pandas data frames of the columns that `from_csv` reads."""

        def read(frame: Any) -> list[Record]:
            return tables.from_data_frame(frame, columns or Columns(), Path(root))

        return cls._of_tables(read, train, val, test, columns, val_share, seed, "a data frame")

    @classmethod
    def from_tensors(
        cls,
        train: tuple[Any, Sequence[str | Sequence[str]]],
        val: tuple[Any, Sequence[str | Sequence[str]]] | None = None,
        *,
        groups: Sequence[str] | None = None,
        multi_label: bool = False,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """Clips in memory, uint8 (clips, time, height, width, 3), each with its labels."""
        return cls.of(
            tensors.from_tensors(*train, groups),
            None if val is None else tensors.from_tensors(*val),
            multi_label=multi_label,
            val_share=val_share,
            seed=seed,
            described="clips in memory",
        )

    @classmethod
    def from_fiftyone(
        cls,
        train: Any,
        val: Any = None,
        *,
        field: str = "ground_truth",
        group: str | None = None,
        multi_label: bool = False,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """FiftyOne datasets or views of videos, or their names."""
        return cls.of(
            fifty_one.from_fiftyone(train, field, group),
            None if val is None else fifty_one.from_fiftyone(val, field, group),
            multi_label=multi_label,
            val_share=val_share,
            seed=seed,
            described="a FiftyOne dataset",
        )

    @classmethod
    def from_label_studio(
        cls,
        export: Source,
        media_root: Source,
        *,
        frames_per_second: float = 25.0,
        multi_label: bool = False,
        val_share: float = _VAL_SHARE,
        seed: int = 0,
    ) -> "VideoData":
        """A Label Studio project's export in the format JSON."""
        return cls.of(
            label_studio.read_export(Path(export), Path(media_root), frames_per_second),
            multi_label=multi_label,
            val_share=val_share,
            seed=seed,
            described=str(export),
        )

    @classmethod
    def _of_tables(
        cls,
        read: Callable[[Any], list[Record]],
        train: Any,
        val: Any,
        test: Any,
        columns: Columns | None,
        val_share: float,
        seed: int,
        described: str,
    ) -> "VideoData":
        several = columns is not None and bool(columns.separator or columns.one_hot)
        return cls.of(
            read(train),
            None if val is None else read(val),
            () if test is None else read(test),
            multi_label=several,
            val_share=val_share,
            seed=seed,
            described=described,
        )


def _check_single(record: Record) -> None:
    if len(record.labels) != 1:
        shown = ", ".join(record.labels) or "none"
        raise DataError(
            f"{record.name} has {len(record.labels)} labels ({shown}) where each video is of one"
            " class; set multi_label where several may hold at once, or none"
        )
