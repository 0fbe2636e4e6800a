"""The page of a real daemon in a real browser: a video that moves, an event, a camera that dies."""

import json
import re
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import Browser, expect

from streamcls.demo import SAMPLE, TRUTH
from streamcls.events import EventData, PredictionData
from tests.observe.browsing import chromium, page_at
from tests.rtsp import rtsp_server
from tests.serving import Served, config, serving, stream

pytestmark = [pytest.mark.browser, pytest.mark.rtsp, pytest.mark.timeout(240)]

# What each tile said, when; and when each row of an own view's table came.
WATCH = """
window.seen = [];
const labels = () => {
  const label = document.querySelector("a[href='#sample'] .label")?.textContent;
  const image = document.querySelector("a[href='#sample'] img")?.src;
  const last = window.seen.at(-1);
  if (label && (last?.label !== label || last?.image !== image))
    window.seen.push({ label, image, at: Date.now() / 1000 });
};
const all = { subtree: true, childList: true, characterData: true, attributes: true };
new MutationObserver(labels).observe(document.body, all);
"""
ROWS = """
window.rows = {};
new MutationObserver(() => {
  for (const row of document.querySelectorAll("tbody tr")) {
    const key = [...row.cells].slice(0, 2).map((cell) => cell.textContent).join(" ");
    window.rows[key] ??= Date.now() / 1000;
  }
}).observe(document.body, { subtree: true, childList: true });
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_a_moving_video_its_events_and_a_camera_that_dies(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("daemon")
    with rtsp_server(size=(320, 180), fps=10) as camera:
        streams = stream("sample", SAMPLE, loop="true", stride_s="0.6") + stream(
            "camera", camera.url, stride_s="2.0"
        )
        more = "[capture]\nread_timeout_s = 2\nbackoff_min_s = 30\n"
        path = config(folder, streams, model="camera-motion", more=more)
        with serving(path) as served:
            served.wait_ready()
            served.until_state("sample", "up")
            served.until_state("camera", "up")
            with page_at(browser, f"{served.http}/") as page:
                page.evaluate(WATCH)
                _hear(served, 14)
                seen = page.evaluate("window.seen")
                _check_labels(served, seen)
            with page_at(browser, f"{served.http}/#sample") as page:
                page.get_by_role("list", name="Frames of the last clip").locator(
                    "img"
                ).first.wait_for()
                page.evaluate(ROWS)
                begun = time.time()
                _hear_start(served, begun)
                page.wait_for_timeout(2000)
                _check_events(served, page.evaluate("window.rows"), begun)
            with page_at(browser, f"{served.http}/") as page:
                expect(page.get_by_role("link", name=re.compile("^camera: live"))).to_be_visible()
                camera.kill()
                down = page.get_by_role("link", name=re.compile("^camera: (down|reconnecting)"))
                expect(down).to_be_visible(timeout=20_000)
                expect(down.locator(".why")).to_contain_text(re.compile(r"\w.*again in \d+ s"))
                assert down.get_attribute("data-tone") == "down"
                expect(page.get_by_role("link", name=re.compile("^sample: live"))).to_be_visible()
                expect(page.get_by_role("status")).to_contain_text("2 streams, 1 down")


def _hear(served: Served, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        served.receive()


def _hear_start(served: Served, since: float) -> None:
    """Until an event has started that was published since."""
    while True:
        message = served.receive()
        begins = isinstance(message.data, EventData) and message.data.transition == "start"
        if begins and message.time.timestamp() > since:
            return


def _check_labels(served: Served, seen: list[dict[str, object]]) -> None:
    """What the page showed is what was predicted within the two seconds before, and it moved."""
    truth = {row["label"] for row in json.loads(TRUTH.read_text())}
    said = [
        (message.time.timestamp(), message.data.top[0].label)
        for message in served.messages
        if message.subject == "sample" and isinstance(message.data, PredictionData)
    ]
    for one in seen:
        at = float(str(one["at"]))
        assert one["label"] in {label for time_s, label in said if at - 2 < time_s <= at}, one
    assert len({str(one["image"]) for one in seen}) >= 6
    labels = {str(one["label"]) for one in seen}
    assert len(labels) >= 2
    assert labels <= truth


def _check_events(served: Served, rows: dict[str, float], since: float) -> None:
    """Each event was in the table within two seconds of its publication."""
    lags = {}
    for message in served.messages:
        event, published = message.data, message.time.timestamp()
        if (
            message.subject == "sample"
            and isinstance(event, EventData)
            and event.transition == "start"
            and published > since
        ):
            began = event.start_time.astimezone().strftime("%H:%M:%S")
            lags[event.label, began] = rows[f"{event.label} {began}"] - published
    assert lags
    print("from publication to the page:", {key: f"{lag:.2f} s" for key, lag in lags.items()})
    assert max(lags.values()) < 2
