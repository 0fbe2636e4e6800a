"""What a real daemon tells a viewer: its streams as they come and go, and what was before."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamcls.config import parse_settings
from streamcls.observer import Observer
from tests.models.small import LABELS, write_small
from tests.observe.fed import Fed, Listener
from tests.serving import Served, config, serving, stream
from tests.videos import write_video

EAGER = "[decisions]\nsmoothing_s = 0\non_threshold = 0.34\noff_threshold = 0\nmin_duration_s = 0\n"


class Page:
    """What a page would know, from message to message."""

    def __init__(self, served: Served, stream: str | None = None) -> None:
        self.listener = Listener(int(served.http.rpartition(":")[2]), stream)
        self.streams: list[str] = []
        self.tiles: dict[str, dict[str, Any]] = {}
        self.marks: dict[str, dict[str, Any]] = {}
        self.pictures: set[str] = set()
        self.own: dict[str, Any] = {}

    def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            message = self.listener.next()
            self.streams = message.get("streams", self.streams)
            self.tiles |= {tile["id"]: tile for tile in message.get("tiles", [])}
            self.pictures |= message.get("pictures", {}).keys()
            self.own |= message.get("own", {})
            for name, marks in message.get("marks", {}).items():
                self.marks.setdefault(name, {}).update({mark["id"]: mark for mark in marks})


@pytest.mark.parametrize(
    ("settings", "holds"),
    [
        ("", True),
        ("thumbnails = false", False),
        ("page = false", False),
        ("enabled = false", False),
    ],
)
def test_pictures_are_held_for_a_page_that_shows_them_alone(settings: str, holds: bool) -> None:
    text = f'[[streams]]\nid = "a"\nurl = "a.mp4"\n[http]\n{settings}'
    fed = Fed([])
    fed.live = Observer(parse_settings(text), fed.clock).live
    fed.predict("a", [1, 0, 0, 0])
    assert (fed.live.streams["a"].window is not None) is holds


def test_streams_come_and_go_with_the_configuration_and_the_past_stays(tmp_path: Path) -> None:
    write_small(tmp_path / "small.safetensors")
    video = write_video(tmp_path / "clip.mp4", frames=60, fps=10)
    first = stream("a", video, loop="true", stride_s="0.3")
    path = config(tmp_path, first, model="small.safetensors", more=EAGER)
    text = path.read_text()
    with serving(path) as served:
        served.wait_ready()
        page = Page(served)
        page.until(lambda: page.tiles.get("a", {}).get("state") == "up" and page.marks.get("a"))
        page.until(lambda: page.tiles["a"]["label"] in LABELS and "a" in page.pictures)
        page.until(lambda: (page.tiles["a"]["frames_per_s"] or 0) > 5)
        own = Page(served, "a")
        own.until(lambda: {"curve", "rows", "clip", "figures"} <= own.own.keys())
        assert own.own["curve"]["labels"] == list(LABELS)
        assert own.own["curve"]["on"] == [0.34] * 3
        assert len(own.own["clip"]) == 4
        assert int(own.own["figures"]["frames"]["decoded"]) > 0
        path.write_text(text + stream("b", video, loop="true"))
        served.process.send_signal(signal.SIGHUP)
        page.until(lambda: page.streams == ["a", "b"] and page.tiles["b"]["state"] == "up")
        path.write_text(text.replace(first, stream("b", video, loop="true")))
        served.process.send_signal(signal.SIGHUP)
        page.until(lambda: page.streams == ["b"])
        assert served.terminate() == 0
    path.write_text(text)
    with serving(path) as served:
        served.wait_ready()
        again = Page(served)
        again.until(lambda: again.marks.get("a"))
        for name, mark in page.marks["a"].items():
            assert again.marks["a"][name]["start"] == mark["start"]
            assert again.marks["a"][name]["end"] is not None
