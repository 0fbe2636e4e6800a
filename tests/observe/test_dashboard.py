"""The dashboard and the alerts on a real daemon that a real Prometheus scrapes.

The daemon has what there is to show: a file and a camera that play, a camera that is not there, a
file that is no video, a reload that is rejected, and a subscriber that has asked for a replay.
"""

import json
import math
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.camera import Camera, serve
from tests.models.small import write_small
from tests.observe.prometheus import RULES, Server, scraping
from tests.serving import PATIENCE_S, config, free_port, serving, stream
from tests.videos import write_video

DASHBOARD = Path(__file__).parent.parent.parent / "configs" / "grafana" / "streamcls.json"
RATE_S = 10
"""What Grafana would make of $__rate_interval: at least four scrapes."""


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text()))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query by where it stands, variables in it."""
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }
    notes = dashboard()["annotations"]["list"]
    return found | {note["name"]: note["expr"] for note in notes if "expr" in note}


@dataclass(frozen=True)
class Scraped:
    """A daemon and the Prometheus that watches it."""

    server: Server
    exposition: str


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("scraped")
    write_small(folder / "small.safetensors")
    write_video(folder / "clip.mp4", frames=100, fps=10)
    (folder / "text.mp4").write_text("not a video")
    with serve({"yard": Camera(clock_offset_s=lambda _: 1.5)}) as cameras:
        path = config(
            folder,
            stream("film", "clip.mp4", stride_s="0.5", loop="true")
            + stream("yard", cameras.url("yard"), stride_s="0.5")
            + stream("gone", f"rtsp://admin:hunter2@127.0.0.1:{free_port()}/1")
            + stream("text", "text.mp4"),
            model=folder / "small.safetensors",
        )
        with serving(path) as served:
            served.wait_ready()
            with scraping(served.http.removeprefix("http://"), folder) as server:
                for name, state in {"film": "up", "yard": "up", "text": "failed"}.items():
                    served.until_state(name, state)
                until(lambda: server.query("streamcls_build_info") != [])
                for text, result in ((path.read_text(), "unchanged"), ("not TOML", "rejected")):
                    path.write_text(text)
                    served.process.send_signal(signal.SIGHUP)
                    until(lambda: f'{{result="{result}"}} 1.0' in served.get("/metrics"))  # noqa: B023
                yield Scraped(server, served.get("/metrics"))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.prometheus
def test_every_query_returns_data(scraped: Scraped) -> None:
    left = queries()
    deadline = time.monotonic() + PATIENCE_S / 2
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left = {place: text for place, text in left.items() if not has_data(scraped, text)}
    assert left == {}


def substituted(expression: str, server: Server) -> str:
    """What Grafana asks with every variable at `All`."""
    for variable in dashboard()["templating"]["list"]:
        if f"${variable['name']}" in expression:
            parts = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
            assert parts
            values = server.label_values(parts[2], substituted(parts[1], server))
            expression = expression.replace(f"${variable['name']}", f"({'|'.join(values)})")
    expression = expression.replace("$__rate_interval", f"{RATE_S}s").replace("$__range", "1h")
    assert "$" not in expression
    return expression


def has_data(scraped: Scraped, expression: str) -> bool:
    """Whether it gives a number: of no events at all, a quantile gives none."""
    found = scraped.server.query(substituted(expression, scraped.server))
    values = [float(series["value"][1]) for series in found]
    return any(not math.isnan(value) for value in values)


@pytest.mark.prometheus
def test_what_is_wrong_is_what_fires_with_its_name(scraped: Scraped) -> None:
    expected = {
        ("StreamclsStreamDown", "gone"),
        ("StreamclsStreamFailed", "text"),
        ("StreamclsReloadRejected", None),
    }
    # On a busy machine these may fire at once, which `for` keeps them from.
    slow = {"Late", "StrideWidened", "WindowsDropped", "WindowsUnfit"}

    def firing() -> list[dict[str, Any]]:
        every = scraped.server.firing()
        return [one for one in every if one["labels"]["alertname"][len("Streamcls") :] not in slow]

    until(lambda: names(firing()) == expected)
    for alert in firing():
        summary = alert["annotations"]["summary"]
        assert alert["labels"].get("stream", "streamcls") in summary
        assert alert["labels"]["instance"] in summary


def names(alerts: list[dict[str, Any]]) -> set[tuple[str, str | None]]:
    return {(one["labels"]["alertname"], one["labels"].get("stream")) for one in alerts}


@pytest.mark.prometheus
def test_promtool_finds_no_fault_in_the_metrics_and_no_password_is_in_them(
    scraped: Scraped,
) -> None:
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(
        command, input=scraped.exposition, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert "hunter2" not in scraped.exposition


@pytest.mark.prometheus
def test_rules_and_dashboard_name_no_metric_that_the_daemon_lacks(scraped: Scraped) -> None:
    rules = re.findall(r"expr: (.+?)\n +for:", RULES.read_text(), re.DOTALL)
    named = set(
        re.findall(r"\b(?:streamcls|process)_\w+", "\n".join([*rules, *queries().values()]))
    )
    served = set(re.findall(r"^(\w+)[{ ]", scraped.exposition, re.MULTILINE))
    assert named - served == set()


def test_every_panel_has_a_place_of_its_own_and_says_what_it_shows() -> None:
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    for panel in panels():
        assert panel["description"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
