"""What is said of the figures: how many, what limits, what would help, what to mistrust."""

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.bench.costs import Costs
from streamcls.bench.verdict import limit_of, sentences, warnings, was_disturbed, would_serve
from tests.bench.made import QUIET, found, level, split

CORES = st.floats(0.01, 8)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cpu": split(decode=1.5, model=0.4)}, "decode"),
        ({"cpu": split(decode=0.4, model=1.5)}, "model"),
        ({"cpu": split(decode=0.6), "around": replace(QUIET, others=1.3)}, "others"),
        ({"cpu": split(decode=0.6), "around": replace(QUIET, stolen=1.3)}, "others"),
        ({"cpu": split(decode=1.9), "around": replace(QUIET, throttled=0.4)}, "quota"),
        ({"cpu": split(decode=0.2), "around": replace(QUIET, waiting=0.9)}, "disk"),
        ({"cpu": split(decode=0.2, model=0.1), "model_busy": 0.97}, "model"),
        ({"cpu": split(decode=0.2, model=0.1)}, "unknown"),
    ],
)
def test_what_is_used_up_is_what_limits(changes: dict[str, object], expected: str) -> None:
    assert limit_of(level(8, held=False, **changes), 2) == expected


@given(CORES, CORES, CORES, CORES, CORES, st.integers(1, 500))
def test_an_estimate_spends_the_same_cpu(
    decode: float, convert: float, model: float, publish: float, rest: float, cameras: int
) -> None:
    cpu = split(decode=decode, convert=convert, model=model, publish=publish, rest=rest)
    at = level(cameras, cpu=cpu)
    cheaper = {"decode": 0.25, "model": 0.5}
    each = sum(cores * cheaper.get(name, 1) for name, cores in asdict(cpu).items()) / cameras
    assert would_serve(at, cheaper) * each <= cpu.total * (1 + 1e-5)
    assert (would_serve(at, cheaper) + 1) * each >= cpu.total * (1 - 1e-5)
    assert would_serve(at, {}) == cameras


def test_a_person_reads_how_many_what_limits_and_what_a_substream_would_give() -> None:
    beyond = level(12, held=False, cpu=split(decode=1.4, convert=0.2, model=0.3))
    held = level(11, cpu=split(decode=1.2, convert=0.2, model=0.3))
    said = sentences(found(held, beyond, capacity=11, substream=Costs(0.4, 0.25)))
    assert said == [
        "This box serves 11 cameras of 1920x1080 at 25 fps with camera-motion every 1 s.",
        "Decoding limits it: with 12 cameras the daemon used 1.90 of 2 cores, 74% of that for"
        " decoding.",
        # 11 * 1.7 / (1.2 * 0.4 / 4 + 0.2 * 0.25 / 0.5 + 0.3) = 35.96
        "A substream of 640x360 would serve about 35: an estimate, by decoding that costs 0.40 ms"
        " a picture there and 4.00 ms here, all else as it is.",
    ]


def test_where_the_network_limits_a_longer_stride_is_what_helps() -> None:
    beyond = level(9, held=False, cpu=split(decode=0.4, model=1.5))
    held = level(8, cpu=split(decode=0.35, model=1.3))
    *_, limiting, advice = sentences(found(held, beyond, capacity=8))
    assert limiting.startswith("The network limits it: with 9 cameras")
    # 8 * 1.65 / (0.35 + 0.65) = 13.2
    assert advice.startswith("Every 2 s it would serve about 13: an estimate")


def test_nothing_is_promised_beyond_what_was_tried() -> None:
    (only,) = sentences(found(level(2), capacity=2, limit=2))
    assert "serves 2 cameras" in only
    assert "--limit 2" in only
    first, *_ = sentences(found(level(1, held=False), capacity=0))
    assert first.startswith("This box does not serve even one camera of 1920x1080")
    (cut,) = sentences(found(level(4), level(8, held=False), capacity=None))
    assert cut == "Cut short: 4 cameras were held, more was not found out."


def test_a_quiet_machine_is_warned_of_nothing() -> None:
    assert warnings(found(level(4), level(8, held=False), capacity=4)) == []


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        ({"others": 0.5}, "other work kept up to 0.50 of 2 cores"),
        ({"stolen": 0.2}, "steal"),
        ({"throttled": 0.1}, "quota"),
        ({"hot": 3}, "heat 3 times"),
        ({"waiting": 0.4}, "waited for a disk"),
    ],
)
def test_what_disturbed_the_figures_is_said(around: dict[str, Any], expected: str) -> None:
    disturbed = level(4, around=replace(QUIET, **around))
    (warning,) = warnings(found(level(2), disturbed, capacity=4))
    assert expected in warning


def test_a_machine_that_was_busy_before_or_has_no_memory_left_is_told_of() -> None:
    busy = found(level(4, free_mb=90.0), capacity=4, before=replace(QUIET, others=0.7))
    before, memory = warnings(busy)
    assert before.startswith("other work kept 0.70 of 2 cores busy before")
    assert memory == "only 90 MB of memory were left"


def test_memory_is_of_numbers_that_grew() -> None:
    grown = [level(4), level(8), level(6, uss_mb=900.0)]
    assert found(*grown, capacity=6).mb_a_stream == pytest.approx(20)
    assert found(level(4), capacity=4).mb_a_stream is None


def test_a_number_is_tried_again_where_more_went_on_than_before() -> None:
    steady = found(capacity=None, before=replace(QUIET, others=0.5))
    assert not was_disturbed(level(8, held=False, around=replace(QUIET, others=0.6)), steady)
    assert was_disturbed(level(8, held=False, around=replace(QUIET, others=0.8)), steady)
    assert was_disturbed(level(8, held=False, around=replace(QUIET, others=0.5, hot=1)), steady)
