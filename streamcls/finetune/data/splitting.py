"""Training and validation kept apart: what belongs together stays on one side.

Clips of one recording look alike, so a network that saw some of them knows the others without
having learnt anything. Records are therefore split by group, and where no group is given, by file.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from streamcls.errors import DataError
from streamcls.finetune.data.records import Record, labels_of

# What cutting tools put behind a recording's name: `_000005_000015` (Kinetics), `_c01` (UCF101),
# `-2`, ` part 3`, `(4)`.
_CUT = re.compile(
    r"([_\-. ]+\d{4,}[_\-]\d{4,}|[_\-. ]*(c|clip|part|seg|cut|shot)?[_\-. ]*\(?\d+\)?)$", re.I
)


def split_by_group(
    records: Sequence[Record], share: float, *, seed: int = 0
) -> tuple[list[Record], list[Record]]:
    """Part records into training and validation, whole groups at a time.

    Groups are taken in random order, each where it brings the labels' shares closest to `share`;
    the same seed gives the same parts.

    Args:
        share: of each label's records, as nearly as groups allow, for validation; above 0, below 1.

    Returns:
        What is for training and what is for validation, each in the order given.

    Raises:
        DataError: a label's records all belong to one group, so that one side would lack it.
    """
    if not 0 < share < 1:
        raise DataError(f"the share for validation is {share}; use a number between 0 and 1")
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[group_of(record)].append(record)
    names = sorted(groups)
    random.Random(seed).shuffle(names)
    # The smallest last: they fill up what the large ones leave.
    names.sort(key=lambda name: -len(groups[name]))
    counts = {name: Counter(label for r in groups[name] for label in r.labels) for name in names}
    wanted = {label: share * count for label, count in sum(counts.values(), Counter()).items()}
    taken: Counter[str] = Counter()
    chosen: set[str] = set()
    for name in names:
        lacking = {label: wanted[label] - taken[label] for label in counts[name]}
        nearer = sum(abs(lacking[x]) - abs(lacking[x] - n) for x, n in counts[name].items())
        if nearer > 0:
            chosen.add(name)
            taken += counts[name]
    for label in sorted(wanted):
        homes = [name for name in names if counts[name][label]]
        if len(homes) == 1:
            raise DataError(
                f"all of {label!r} is of one group or file, {homes[0]}, so training or validation"
                " would lack it; add recordings, or give validation data of its own"
            )
        if chosen.isdisjoint(homes):
            chosen.add(homes[-1])
        elif chosen.issuperset(homes):
            chosen.discard(homes[-1])
    training = [record for record in records if group_of(record) not in chosen]
    validation = [record for record in records if group_of(record) in chosen]
    if labels_of(training) != labels_of(validation):
        odd = set(labels_of(training)) ^ set(labels_of(validation))
        raise DataError(
            f"no split by group was found that leaves {', '.join(sorted(odd))} on both sides;"
            " give validation data of its own"
        )
    return training, validation


def group_of(record: Record) -> str:
    """What a record must not be parted from: its group, or the file it is of."""
    return record.group or str(record.path)


def leaks(training: Sequence[Record], validation: Sequence[Record]) -> list[str]:
    """Why a network may already know the validation records from training; a sentence each.

    Certain: a group or a file on both sides. Likely: files of the same bytes in length and
    beginning, and names that differ only in what a cutting tool puts behind them.
    """
    checks: list[tuple[str, Callable[[Iterable[Record]], dict[str, Path]]]] = [
        ("group(s)", lambda side: {one.group: one.path for one in side if one.group}),
        ("file(s)", lambda side: {str(one.path): one.path for one in side}),
    ]
    found = [_shared(what, key(training), key(validation)) for what, key in checks]
    grouped = all(record.group for record in (*training, *validation))
    names = _recordings([*training, *validation])
    if not any(found) and not grouped and names:
        mine = {names[one.path]: one.path for one in training}
        theirs = {names[one.path]: one.path for one in validation}
        found.append(_shared("recording(s), by the names of their clips,", mine, theirs))
    found.append(_shared("file(s) of the same content", _contents(training), _contents(validation)))
    return [sentence for sentence in found if sentence]


def recording_name(path: Path) -> str:
    """A file's name without the numbers that a cutting tool put behind its recording's."""
    return _CUT.sub("", path.stem)


def _recordings(records: Sequence[Record]) -> dict[Path, str]:
    """Each file's recording, by its name; nothing where names do not tell recordings apart."""
    names = {record.path: recording_name(record.path) for record in records}
    labels = {label for record in records for label in record.labels}
    told = set(names.values()) - {""}
    # `archery_1`, `archery_2`: numbered by class, which says nothing of recordings.
    telling = len(told) > 2 * max(1, len(labels)) and all(names.values())
    return names if telling and len(told) < len(names) else {}


def _shared(what: str, mine: dict[str, Path], theirs: dict[str, Path]) -> str:
    both = sorted(set(mine) & set(theirs))
    if not both:
        return ""
    example = both[0]
    return (
        f"{len(both)} {what} in training and in validation at once, such as"
        f" {mine[example].name} and {theirs[example].name}: validation will look better than it is"
    )


def _contents(records: Iterable[Record]) -> dict[str, Path]:
    """Files by length and first bytes; what cannot be read is somebody else's to report."""
    found: dict[str, Path] = {}
    for path in {record.path for record in records if record.clip is None}:
        try:
            if path.is_file():
                with path.open("rb") as file:
                    found[f"{path.stat().st_size} {file.read(4096).hex()}"] = path
        except OSError:
            continue
    return found
