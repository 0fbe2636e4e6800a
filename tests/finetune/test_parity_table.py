"""The table of promises names tests that exist."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
NAMED = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", (Path(__file__).parent / "PARITY.md").read_text())


def test_the_table_names_tests() -> None:
    assert len(NAMED) > 50


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_exists(file: str, test: str) -> None:
    text = (TESTS / file).read_text()
    assert re.search(rf"^def {test or r'test_'}", text, re.MULTILINE), f"{file}::{test}"
