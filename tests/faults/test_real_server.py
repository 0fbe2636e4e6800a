"""The same against GStreamer's server: killed, stopped, restarted, with another picture."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.models.small import write_small
from tests.rtsp import rtsp_server
from tests.serving import Served, config, serving, stream

pytestmark = pytest.mark.rtsp

_LIMITS = (
    "[capture]\nopen_timeout_s = 5\nread_timeout_s = 2\nbackoff_min_s = 0.1\nbackoff_max_s = 0.3\n"
    "[windows]\nstride_s = 0.8\n"
)


def _untouched(served: Served, name: str) -> None:
    """Whether a stream was connected once, and had every window since."""
    heard = served.of(name)
    assert heard.states == ["connecting", "warming_up", "up"]
    starts = [one.start_s for one in heard.predictions]
    assert {one.stream_epoch for one in heard.predictions} == {1}
    assert {round(b - a, 3) for a, b in pairwise(starts)} == {0.8}


def test_a_camera_that_is_stopped_killed_and_replaced_comes_back_each_time(tmp_path: Path) -> None:
    write_small(tmp_path / "small.safetensors")
    with rtsp_server() as well, rtsp_server(fps=10) as first:
        tables = stream("well", well.url) + stream("ill", first.url)
        path = config(tmp_path, tables, model="./small.safetensors", more=_LIMITS)
        with serving(path) as served:
            served.until_state("well", "up")
            served.until_state("ill", "up")
            first.freeze()
            assert served.until_state("ill", "backoff").reason == "timeout"
            first.thaw()
            served.until_state("ill", "up")
            first.kill()
            assert served.until_state("ill", "backoff").reason == "disconnected"
            # One that answers at the same address, but with another picture and codec.
            with rtsp_server(fps=20, size=(192, 144), port=first.port) as second:
                served.until_state("ill", "up")
                before = _epoch(served)
                second.change_size(256, 96)
                # In mid-stream: another stream epoch, of the same connection.
                while _epoch(served) == before:
                    served.receive()
                assert served.of("ill").states[-1] == "up"
                _untouched(served, "well")
                assert served.terminate() == 0
            served.drain()
            epochs = [one.stream_epoch for one in served.of("ill").predictions]
            assert epochs == sorted(epochs)
            assert len(set(epochs)) >= 3
            assert served.of("ill").states.count("backoff") >= 2
            assert "Traceback" not in served.output()


def _epoch(served: Served) -> int:
    predictions = served.of("ill").predictions
    return predictions[-1].stream_epoch if predictions else 0
