"""A small model file whose labels are told apart by brightness, and one recording of them."""

from pathlib import Path

import pytest

from streamcls.engine import Engine
from streamcls.models.bundle import DecisionDefaults
from tests.models.small import write_small
from tests.offline.footage import brightness_engine, write_scenes

SCENES = [("rest", 3.0), ("rise", 3.0), ("rest", 2.0), ("fall", 3.0), ("rest", 2.0)]
DECISIONS = DecisionDefaults(
    smoothing_s=0.0, min_duration_s=0.5, cooldown_s=0.5, background_label="rest"
)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path, decisions=DECISIONS)
    return path


@pytest.fixture(scope="session")
def engine(bundle: Path) -> Engine:
    return brightness_engine(bundle)


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """13 s: rest, rise from 3 to 6, rest, fall from 8 to 11, rest."""
    return write_scenes(tmp_path_factory.mktemp("video") / "day.mp4", SCENES)
