"""The alert rules and the example of a scrape, as Prometheus's own tool judges them."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.observe.prometheus import RULES, SCRAPE

TESTS = RULES.with_name("streamcls.rules.test.yml")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "command", [("check", "rules", RULES), ("test", "rules", TESTS), ("check", "config", SCRAPE)]
)
def test_promtool_accepts(command: tuple[str, str, str]) -> None:
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_firing_and_silent_in_one_and_the_same_case() -> None:
    tested: set[str] = set()
    for instants in cases():
        names = [{labels["alertname"] for labels in instant} for instant in instants]
        silent = [set().union(*names) - at_one for at_one in names]
        tested |= set().union(*silent)
    assert tested == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_where_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+m", alert["for"])
    notes = alert["annotations"]
    assert len(notes["description"]) > 40
    fired = [one for instants in cases() for instant in instants for one in instant]
    has = {label for one in fired if one["alertname"] == alert["alert"] for label in one}
    for label in has & {"stream", "instance"}:
        assert f"$labels.{label} " in notes["summary"]


def cases() -> Iterator[list[list[dict[str, str]]]]:
    """Of each case, for each of its instants, the labels of every alert that is to fire."""
    for case in yaml.safe_load(TESTS.read_text())["tests"]:
        yield [
            [
                dict(re.findall('(\\w+)="(.*?)"', sample["labels"]))
                for sample in instant.get("exp_samples", ())
            ]
            for instant in case["promql_expr_test"]
        ]
