"""Every fault beside every other in one daemon: what each says, and that the well never notice."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamcls.client import Gap, Silence
from streamcls.events import PredictionData, StatusData
from tests.faults.camera import Camera, CameraServer, serve
from tests.faults.rows import OPEN_S, READ_S, ROWS, Row
from tests.faults.table import PATH, document
from tests.models.small import SPEC, write_small
from tests.serving import Served, config, serving, stream
from tests.videos import write_video

_PLAYS_S = 35.0  # the longest row: corrupt for ten seconds, seen, connected anew
_LATE_S = 8.0  # of what is still classified: how recent its last window is at the end
_SLACK_S = 6.0  # for two cores that play, decode and classify all of it at once
_STRIDE_S = 10 * float(SPEC.frame_interval_s)
_LIMITS = f"""
[capture]
open_timeout_s = {OPEN_S}
read_timeout_s = {READ_S}
backoff_min_s = 0.1
backoff_max_s = 0.5
refused_retry_s = 2
max_opening = 100
max_pixels = 2200000
frozen_after_s = 5
[windows]
stride_s = {_STRIDE_S}
"""


@dataclass
class Heard:
    """What the daemon published of one stream, each with when it came."""

    statuses: list[StatusData] = field(default_factory=list)
    predictions: list[PredictionData] = field(default_factory=list)
    last_prediction_s: float = 0.0

    @property
    def states(self) -> list[str]:
        return [status.state for status in self.statuses]


@dataclass
class Played:
    """One run of all rows."""

    heard: dict[str, Heard]
    metrics: dict[tuple[str, ...], float]
    ended_s: float
    output: str
    server: CameraServer

    def count(self, name: str, row: str) -> float:
        """A metric's value for a stream; `name` may have a reason after a space."""
        name, _, reason = name.partition(" ")
        return self.metrics.get((f"streamcls_{name}_total", row, *filter(None, [reason])), 0)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("matrix")
    write_small(folder / "small.safetensors")
    write_video(folder / "well.mp4", frames=1000, fps=10, gop=10)
    cameras = {row.id: row.camera for row in ROWS if row.camera} | {"good": Camera()}
    for camera in cameras.values():
        next(camera.media())  # filmed and encoded once, and not while somebody waits for it
    with serve(cameras) as server:
        tables = [stream("well-camera", server.url("good")), stream("well-file", "well.mp4")]
        for row in ROWS:
            url = row.url(server.url) if row.url else server.url(row.id, "admin:hunter2")
            tables.append(stream(row.id, row.file(folder) if row.file else url) + row.settings)
        path = config(folder, "\n".join(tables), model=folder / "small.safetensors", more=_LIMITS)
        with serving(path) as served:
            heard, ended_s = _listen(served)
            metrics = _metrics(served)
            assert served.terminate() == 0
            yield Played(heard, metrics, ended_s, served.output(), server)


def _listen(served: Served) -> tuple[dict[str, Heard], float]:
    heard: dict[str, Heard] = {}
    began_s: float | None = None
    while began_s is None or time.monotonic() < began_s + _PLAYS_S:
        item = served.subscriber.receive(1.0)
        assert not isinstance(item, Gap | Silence)
        assert served.process.poll() is None
        if item is None:
            continue
        began_s = began_s or time.monotonic()
        one = heard.setdefault(item.subject, Heard())
        if isinstance(item.data, PredictionData):
            one.predictions.append(item.data)
            one.last_prediction_s = time.monotonic()
        elif isinstance(item.data, StatusData) and not item.data.heartbeat:
            one.statuses.append(item.data)
    return heard, time.monotonic()


def _metrics(served: Served) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items(), reverse=True))): (
            sample.value
        )
        for family in text_string_to_metric_families(served.get("/metrics"))
        for sample in family.samples
    }


@pytest.mark.timeout(240)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_fault_is_said_counted_and_over_in_time(played: Played, row: Row) -> None:
    heard = played.heard[row.id]
    states = iter(heard.states)
    assert all(state in states for state in row.states), heard.statuses
    troubles = [one for one in heard.statuses if one.state in ("backoff", "failed", "stale")]
    told = {one.reason for one in troubles} - ({"no_frames"} if row.stale else set())
    assert told == ({row.reason} if row.reason else set()), troubles
    assert all(row.words in one.detail and "hunter2" not in one.detail for one in troubles)
    for name in row.counted:
        assert played.count(name, row.id) > 0, name
    epochs = {one.stream_epoch for one in heard.predictions}
    if row.windows:
        assert played.ended_s - heard.last_prediction_s < _LATE_S
        assert epochs == {1} if row.epochs == 1 else len(epochs) >= row.epochs, epochs
        assert all(one.coverage >= 0.8 for one in heard.predictions)
    elif heard.predictions:
        assert played.ended_s - heard.last_prediction_s > _LATE_S
    if row.clock_offset_s is not None:
        told_s = heard.predictions[-1].clock_offset_s
        assert told_s == pytest.approx(row.clock_offset_s, abs=_SLACK_S)
    if row.limit_s is not None:
        assert _detected_after_s(heard) < row.limit_s + _SLACK_S


@pytest.mark.parametrize("row", [row for row in ROWS if row.camera], ids=lambda row: row.name)
def test_a_camera_is_asked_no_more_than_an_attempt_needs(played: Played, row: Row) -> None:
    attempts = played.heard[row.id].states.count("connecting")
    asked = played.server.connections[row.id]
    assert asked >= 1
    if row.asked is not None:
        begun = attempts + 1  # one may have begun as the listening ended
        assert asked <= begun * row.asked


def _detected_after_s(heard: Heard) -> float:
    failed = next(one for one in heard.statuses if one.state == "backoff")
    return (failed.since - heard.statuses[0].since).total_seconds()


@pytest.mark.parametrize("name", ["well-camera", "well-file"])
def test_those_that_are_well_never_notice(played: Played, name: str) -> None:
    heard = played.heard[name]
    assert heard.states == ["connecting", "warming_up", "up"]
    assert {one.stream_epoch for one in heard.predictions} == {1}
    steps = {round(b.start_s - a.start_s, 6) for a, b in pairwise(heard.predictions)}
    assert steps == {_STRIDE_S}
    assert len(heard.predictions) >= (_PLAYS_S - _SLACK_S) / _STRIDE_S
    assert not [
        key
        for key, count in played.metrics.items()
        if key[:2] == ("streamcls_windows_dropped_total", name) and count
    ]


def test_nothing_of_it_is_a_bug_and_no_password_is_told(played: Played) -> None:
    assert "Traceback" not in played.output
    assert "hunter2" not in played.output


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS)


def test_the_table_in_the_documentation_is_made_of_these_rows() -> None:
    assert PATH.read_text() == document(), "run: python -m tests.faults.table"
