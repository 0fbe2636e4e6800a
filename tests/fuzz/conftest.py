"""How many cases of each target to try, or which one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.cases import Case

Cases = Callable[[int], Iterator[Case]]
_LONG_RUN_S = 7200


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, help="fuzz: try so many cases of each target")
    parser.addoption("--case", type=int, help="fuzz: try this case of each target and no other")


def _wanted(config: pytest.Config) -> int | None:
    """How many cases are asked for; None for each target's own few."""
    # This file's options are unknown where pytest met it after reading its command line.
    given: int | None = config.getoption("cases", None)
    return given or int(os.environ.get("STREAMCLS_FUZZ_CASES", "0")) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A long run takes as long as it takes; each case has its own limit."""
    if _wanted(config):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(_LONG_RUN_S))


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """The cases to try, given how many suit the everyday suite."""
    only: int | None = request.config.getoption("case", None)
    count = _wanted(request.config)
    target = f"{request.path.stem}::{request.node.name}"

    def made(everyday: int) -> Iterator[Case]:
        numbers = range(count or everyday) if only is None else [only]
        return (Case(target, number) for number in numbers)

    return made
