"""Levels and findings to judge, made up."""

from typing import Any

from streamcls.bench.box import Around
from streamcls.bench.costs import Costs
from streamcls.bench.films import Size
from streamcls.bench.processes import Split
from streamcls.bench.ramp import Level
from streamcls.bench.verdict import Found

QUIET = Around(others=0.0, waiting=0.0, stolen=0.0, throttled=0.0, hot=0)


def split(**cores: float) -> Split:
    nothing = dict.fromkeys(("decode", "convert", "model", "publish", "rest"), 0.0)
    return Split(**(nothing | cores))


def level(cameras: int, *, held: bool = True, **changes: Any) -> Level:
    values: dict[str, Any] = {
        "age_p50_ms": 60.0,
        "age_p99_ms": 90.0 if held else 1900.0,
        "latency_p50_ms": 30.0,
        "latency_p99_ms": 50.0,
        "model_p99_ms": 20.0,
        "due": cameras * 15,
        "served": cameras * 15 if held else cameras * 9,
        "unreported": 0,
        "dropped": {} if held else {"behind": cameras * 6},
        "stride_s": 1.0 if held else 2.0,
        "fairness": 1.0,
        "jain": 1.0,
        "cpu": split(decode=0.1 * cameras, model=0.05 * cameras),
        "model_busy": 0.1,
        "subscriber_cores": 0.0,
        "around": QUIET,
        "uss_mb": 300.0 + 20 * cameras,
        "pss_mb": 310.0 + 20 * cameras,
        "free_mb": 4000.0,
    }
    return Level(cameras=cameras, held=held, **(values | changes))


def found(*levels: Level, capacity: int | None, **changes: Any) -> Found:
    values: dict[str, Any] = {
        "source": "a film",
        "size": Size(1920, 1080),
        "fps": 25.0,
        "model": "camera-motion",
        "stride_s": 1.0,
        "max_age_ms": 500.0,
        "limit": 1024,
        "cores": 2,
        "before": QUIET,
        "backend": "torch",
        "costs": Costs(4.0, 0.5),
        "levels": {one.cameras: one for one in levels},
        "capacity": capacity,
    }
    return Found(**(values | changes))
