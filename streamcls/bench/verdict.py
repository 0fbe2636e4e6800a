"""What the figures say to whoever is to buy cameras: how many, what limits, what would help."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from streamcls.bench.box import Around
from streamcls.bench.costs import Costs
from streamcls.bench.films import Size
from streamcls.bench.knee import slope
from streamcls.bench.ramp import Level

SUBSTREAM = Size(640, 360)
_FULL = 0.85  # of what there is: with the peaks of a second in it, there is no more to be had
_NOTICED = 0.05  # of the cores: less than that of other work changes no figure
_DISTURBING = 0.1
_LITTLE_MB = 500.0
_NAMES = {
    "decode": "decoding",
    "convert": "making pictures small",
    "model": "the network",
    "publish": "publishing",
    "rest": "the daemon's other work",
}


@dataclass
class Found:
    """All that a run has measured so far.

    Attributes:
        source: whose pictures they were, in words.
        fps: the source's pictures a second.
        before: the machine before the daemon began.
        capacity: the largest number that was held; None while that is not known.
        substream: what a picture of `SUBSTREAM` costs, where that was measured.
    """

    source: str
    size: Size
    fps: float
    model: str
    stride_s: float
    max_age_ms: float
    limit: int
    cores: int
    before: Around
    backend: str = ""
    costs: Costs | None = None
    substream: Costs | None = None
    levels: dict[int, Level] = field(default_factory=dict)
    capacity: int | None = None

    @property
    def in_order(self) -> list[Level]:
        """The levels by number of cameras."""
        return [self.levels[number] for number in sorted(self.levels)]

    @property
    def beyond(self) -> Level | None:
        """The smallest number that was not held."""
        return next((level for level in self.in_order if not level.held), None)

    @property
    def mb_a_stream(self) -> float | None:
        """Memory of the daemon's own for one more stream, while it only grew."""
        grown: list[Level] = []
        for level in self.levels.values():  # in the order of measuring
            if not grown or level.cameras > grown[-1].cameras:
                grown.append(level)
        return slope([level.cameras for level in grown], [level.uss_mb for level in grown])


def limit_of(level: Level, cores: int) -> str:
    """What a number of cameras that is not held is short of; a key of `_NAMES`, or another word."""
    busy = level.cpu.total + level.subscriber_cores + level.around.others + level.around.stolen
    if level.around.throttled > _NOTICED:
        return "quota"
    if busy >= _FULL * cores:
        shares = asdict(level.cpu) | {"others": level.around.others + level.around.stolen}
        return max(shares, key=shares.__getitem__)
    if level.around.waiting > 0.1 * cores:
        return "disk"
    if level.model_busy >= _FULL:
        return "model"
    return "unknown"


def was_disturbed(level: Level, found: Found) -> bool:
    """Whether more else went on than before: what was not held then may be another time."""
    around, before = level.around, found.before
    more = around.others + around.stolen - before.others - before.stolen
    return more > _DISTURBING * found.cores or around.hot > 0


def would_serve(level: Level, times: Mapping[str, float]) -> int:
    """About how many cameras the same CPU would serve, were parts to cost so many times as much."""
    parts = asdict(level.cpu)
    then = sum(cores * times.get(name, 1.0) for name, cores in parts.items())
    return int(level.cameras * level.cpu.total / then + 1e-6) if then else level.cameras


def sentences(found: Found) -> list[str]:
    """How many, and what to do for more: each a sentence for a person."""
    if found.capacity is None:
        held = max((level.cameras for level in found.in_order if level.held), default=0)
        return [f"Cut short: {_cameras(held)} were held, more was not found out."]
    what = f"of {found.size} at {found.fps:g} fps with {found.model} every {found.stride_s:g} s"
    beyond = found.beyond
    if beyond is None:
        return [
            f"This box serves {_cameras(found.capacity)} {what}, and maybe more:"
            f" that was the most to be tried (--limit {found.limit})."
        ]
    if found.capacity:
        first = f"This box serves {_cameras(found.capacity)} {what}."
    else:
        first = f"This box does not serve even one camera {what}."
    return [first, _limiting(beyond, found.cores), *_advice(found, beyond)]


def warnings(found: Found) -> list[str]:
    """What else was going on that makes the figures mean less, or will matter in service."""
    cores = found.cores
    said: list[str] = []
    if found.before.others > _NOTICED * cores:
        said.append(
            f"other work kept {found.before.others:.2f} of {cores} cores busy before this began;"
            " the cameras had what it left"
        )
    worst = _worst(level.around for level in found.in_order)
    if worst.others > max(_NOTICED * cores, found.before.others):
        said.append(f"other work kept up to {worst.others:.2f} of {cores} cores busy meanwhile")
    if worst.stolen > 0.02 * cores:
        said.append(
            f"other guests of this machine's host took up to {worst.stolen:.2f} cores (steal);"
            " another hour may give another figure"
        )
    if worst.throttled > 0.01:
        said.append(
            f"a CPU quota of the container or unit stopped this for {worst.throttled:.0%} of the"
            " time; raise it, or read the figure as that of the quota"
        )
    if worst.hot:
        said.append(f"cores slowed down for heat {worst.hot} times; cool the box before it serves")
    if worst.waiting > _NOTICED * cores:
        said.append(f"up to {worst.waiting:.2f} cores waited for a disk; the film is read from one")
    if any(level.free_mb < _LITTLE_MB for level in found.in_order):
        least = min(level.free_mb for level in found.in_order)
        said.append(f"only {least:.0f} MB of memory were left")
    return said


def _limiting(beyond: Level, cores: int) -> str:
    """What the first number that was not held was short of."""
    limit = limit_of(beyond, cores)
    others = beyond.around.others + beyond.around.stolen
    number, busy = _cameras(beyond.cameras), f"{beyond.cpu.total:.2f} of {cores} cores"
    if limit in _NAMES:
        share = asdict(beyond.cpu)[limit] / beyond.cpu.total if beyond.cpu.total else 0.0
        if limit == "model" and beyond.cpu.total < _FULL * cores:
            share = beyond.model_busy
            return f"The network limits it: with {number} it was busy {share:.0%} of the time."
        return (
            f"{_NAMES[limit].capitalize()} limits it: with {number} the daemon used {busy},"
            f" {share:.0%} of that for {_NAMES[limit]}."
        )
    return {
        "quota": f"A CPU quota limits it: with {number} this was stopped for"
        f" {beyond.around.throttled:.0%} of the time.",
        "others": f"Other work limits it: it had {others:.2f} of {cores} cores, with that of other"
        " guests of this box's host.",
        "disk": f"The disk limits it: {beyond.around.waiting:.2f} cores waited for one.",
    }.get(
        limit,
        f"With {number} the daemon used {busy} and windows came late all the same: nothing that is"
        " measured here was used up.",
    )


def _advice(found: Found, beyond: Level) -> Sequence[str]:
    """An estimate, with its arithmetic, of what the cheapest change would give."""
    level = found.levels.get(found.capacity or 0, beyond)
    limit = limit_of(beyond, found.cores)
    if limit in ("decode", "convert") and found.costs and found.substream:
        here, there = found.costs, found.substream
        times = {
            "decode": there.decode_ms / here.decode_ms,
            "convert": there.convert_ms / here.convert_ms if here.convert_ms else 1.0,
        }
        return [
            f"A substream of {SUBSTREAM} would serve about {would_serve(level, times)}: an"
            f" estimate, by decoding that costs {there.decode_ms:.2f} ms a picture there and"
            f" {here.decode_ms:.2f} ms here, all else as it is."
        ]
    if limit == "model":
        return [
            f"Every {2 * found.stride_s:g} s it would serve about"
            f" {would_serve(level, {'model': 0.5})}: an estimate, by half as many windows for the"
            " network, all else as it is."
        ]
    return []


def _worst(all_around: Iterable[Around]) -> Around:
    rows = [asdict(around) for around in all_around]
    return Around(**{name: max((row[name] for row in rows), default=0) for name in _AROUND})


_AROUND = list(Around.__dataclass_fields__)


def _cameras(number: int) -> str:
    return f"{number} camera" + "s" * (number != 1)
