"""The daemon as its operator and its subscribers meet it: a real process, a real socket."""

import time
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamcls.transforms import WindowPlan
from tests.models.small import SPEC, write_small
from tests.rtsp import rtsp_server
from tests.serving import Served, config, serving, stream
from tests.videos import write_audio, write_video

DESIGNED_METRICS = {
    "streamcls_source_up",
    "streamcls_source_last_frame_timestamp_seconds",
    "streamcls_frames_decoded",
    "streamcls_frames_converted",
    "streamcls_frames_dropped",
    "streamcls_decode_errors",
    "streamcls_source_reconnects",
    "streamcls_windows",
    "streamcls_windows_dropped",
    "streamcls_inference_duration_seconds",
    "streamcls_inference_batch_size",
    "streamcls_event_latency_seconds",
    "streamcls_events_published",
    "streamcls_build_info",
}
# Every smoothed score opens an event: the small network's labels are not the matter here.
EAGER = "[decisions]\nsmoothing_s = 0\non_threshold = 0.34\noff_threshold = 0\nmin_duration_s = 0\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path


def samples(served: Served) -> dict[tuple[str, str], float]:
    """Every sample of /metrics as (name, stream or kind) -> value, of all reasons together."""
    values: defaultdict[tuple[str, str], float] = defaultdict(float)
    for family in text_string_to_metric_families(served.get("/metrics")):
        for sample in family.samples:
            key = sample.labels.get("stream") or sample.labels.get("kind") or ""
            values[sample.name, key] += sample.value
    return values


def test_a_file_at_full_speed_is_classified_whole_and_the_daemon_ends_by_itself(
    tmp_path: Path, model: Path
) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=300, fps=25)
    streams = stream("clip", video, pace='"fastest"', stride_s="0.5")
    with serving(config(tmp_path, streams, model=model, more=EAGER)) as served:
        served.until_state("clip", "stopped")
        assert served.process.wait(60) == 0
        served.drain()
        heard = served.of("clip")
        output = served.output()
    plan = WindowPlan.of(SPEC, 0.5)
    last = int(Fraction(299, 25) / plan.step_s)
    expected = [j for j in range(last + 1) if plan.closes(j) is not None]
    assert [p.end_s for p in heard.predictions] == pytest.approx(
        [float(j * plan.step_s) for j in expected]
    )
    assert all(p.coverage == 1 and len(p.top) == 3 for p in heard.predictions)
    assert all(
        p.latency.total_ms >= p.latency.inference_ms > 0 and p.latency.queue_ms >= 0
        for p in heard.predictions
    )
    assert heard.states == ["connecting", "warming_up", "up", "stopped"]
    ends = heard.whole_events()
    assert ends
    assert {event.reason for event in ends} <= {"label_off", "stream_lost"}
    assert "Traceback" not in output


def test_only_needed_frames_are_converted_each_once_as_the_counters_prove(
    tmp_path: Path, model: Path
) -> None:
    # Stride 2 s, window 0.3 s: of 20 s at 25 fps, 10 windows of 4 frames each are needed.
    video = write_video(tmp_path / "clip.mp4", frames=500, fps=25)
    steady = write_video(tmp_path / "steady.mp4", frames=25, fps=25)
    streams = stream("clip", video, pace='"fastest"', stride_s="2.0") + stream(
        "keeper", steady, loop="true"
    )
    with serving(config(tmp_path, streams, model=model)) as served:
        served.until_state("clip", "stopped")
        values = samples(served)
        decoded = values["streamcls_frames_decoded_total", "clip"]
        # Keyframes are 12 frames apart: at most two groups for each window.
        assert 40 <= decoded <= 10 * 24
        assert 500 - 10 * 24 <= values["streamcls_packets_skipped_total", "clip"] <= 500 - decoded
        assert values["streamcls_windows_total", "clip"] == 10
        assert values["streamcls_frames_converted_total", "clip"] == 40


def test_health_readiness_and_every_metric_of_the_contract(tmp_path: Path, model: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=50, fps=25)
    streams = stream("loop", video, loop="true") + stream("gone", "rtsp://127.0.0.1:9/x")
    with serving(config(tmp_path, streams, model=model)) as served:
        served.wait_ready()
        served.until_state("loop", "up")
        served.until_state("gone", "backoff")
        while not served.of("loop").predictions:
            served.receive()
        assert served.get("/healthz") == "ok\n"
        assert served.get("/readyz") == "ok\n"
        names = {f.name for f in text_string_to_metric_families(served.get("/metrics"))}
        assert names >= DESIGNED_METRICS
        values = samples(served)
        assert values["streamcls_source_up", "loop"] == 1
        assert values["streamcls_source_up", "gone"] == 0
        assert values["streamcls_source_reconnects_total", "gone"] >= 1
        assert values["streamcls_event_latency_seconds_count", "loop"] >= 1
        with pytest.raises(OSError, match="404"):
            served.get("/nothing")


def test_sigterm_ends_every_open_event_and_exits_0_within_10_seconds(
    tmp_path: Path, model: Path
) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=2000, fps=25)
    streams = stream("a", video, stride_s="0.3") + stream("b", video, stride_s="0.3")
    with serving(config(tmp_path, streams, model=model, more=EAGER)) as served:
        started: set[str] = set()
        while started != {"a", "b"}:
            message = served.receive()
            if message.type == "streamcls.event.v1":
                started.add(message.subject)
        before = time.monotonic()
        assert served.terminate() == 0
        assert time.monotonic() - before < 10
        served.drain()
        for name in ("a", "b"):
            ends = served.of(name).whole_events()
            assert ends[-1].reason == "shutdown"
            assert served.of(name).states[-1] == "stopped"


def test_one_bad_source_says_why_and_leaves_the_others_alone(tmp_path: Path, model: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    audio = write_audio(tmp_path / "sound.mp4")
    video = write_video(tmp_path / "clip.mp4", frames=100, fps=25)
    streams = "".join(
        stream(name, path, pace='"fastest"', stride_s="0.5")
        for name, path in [("notes", text), ("sound", audio), ("clip", video)]
    )
    with serving(config(tmp_path, streams, model=model)) as served:
        details = {name: served.until_state(name, "failed").detail for name in ("notes",)}
        assert served.process.wait(60) == 0
        served.drain()
        assert served.of("sound").states[-1] == "failed"
        assert served.of("clip").states == ["connecting", "warming_up", "up", "stopped"]
        assert len(served.of("clip").predictions) >= 5
        assert str(text) in details["notes"]
        assert "Traceback" not in served.output()


def test_where_no_stream_can_be_played_the_exit_is_1_with_one_line_of_reason(
    tmp_path: Path, model: Path
) -> None:
    audio = write_audio(tmp_path / "sound.mp4")
    with serving(config(tmp_path, stream("sound", audio), model=model)) as served:
        assert served.process.wait(60) == 1
        output = served.output()
    assert "sound.mp4" in output
    assert "Traceback" not in output


def test_sequences_are_contiguous_and_windows_never_span_a_loop(
    tmp_path: Path, model: Path
) -> None:
    video = write_video(tmp_path / "clip.mp4", frames=25, fps=25)
    streams = stream("loop", video, loop="true", stride_s="0.3")
    with serving(config(tmp_path, streams, model=model)) as served:
        while len({p.stream_epoch for p in served.of("loop").predictions}) < 3:
            served.receive()
        by_topic: dict[str, list[int]] = {}
        for message in served.messages:
            by_topic.setdefault(message.type, []).append(message.sequence)
        predictions = served.of("loop").predictions
    assert all(b - a == 1 for numbers in by_topic.values() for a, b in pairwise(numbers))
    assert all(p.end_s - p.start_s == pytest.approx(0.3) for p in predictions)
    assert all(p.start_s >= 0 and p.end_s < 1 for p in predictions)


@pytest.mark.rtsp
def test_a_wrong_password_is_a_status_that_names_the_camera_and_never_the_password(
    tmp_path: Path, model: Path
) -> None:
    with rtsp_server(user="admin", password="right") as camera:
        url = camera.url_for("admin", "w0nderful-secret")
        with serving(config(tmp_path, stream("cam", url), model=model)) as served:
            status = served.until_state("cam", "backoff")
            metrics = served.get("/metrics")
            assert served.terminate() == 0
            output = served.output()
    assert status.reason == "refused"
    assert status.retry_in_s is not None
    assert status.retry_in_s > 10
    for text in (str(served.messages), metrics, output):
        assert "secret" not in text


@pytest.mark.rtsp
def test_a_frozen_camera_does_not_hold_up_the_end(tmp_path: Path, model: Path) -> None:
    with rtsp_server() as camera:
        path = config(
            tmp_path,
            stream("cam", camera.url, stride_s="0.3"),
            model=model,
            more=EAGER + "[capture]\nread_timeout_s = 30\n",
        )
        with serving(path) as served:
            served.until_event("start")
            camera.freeze()
            assert served.until_state("cam", "stale").reason == "no_frames"
            before = time.monotonic()
            assert served.terminate() == 0
            assert time.monotonic() - before < 10
            served.drain()
            camera.thaw()
    assert served.of("cam").whole_events()[-1].reason == "shutdown"
    assert served.of("cam").states[-1] == "stopped"
