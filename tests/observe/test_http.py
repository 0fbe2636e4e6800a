"""Metrics and health over real HTTP."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamcls.errors import BindError
from streamcls.observe.http import Check, HttpServer
from streamcls.observe.metrics import DeliveryCounts, Metrics, ReloadCounts, Snapshot, StreamCounts


def well() -> str:
    return ""


@contextmanager
def served(metrics: Metrics | None = None, healthy: Check = well) -> Iterator[str]:
    body = metrics.exposition if metrics else bytes
    server = HttpServer("127.0.0.1", 0, metrics=body, healthy=healthy, ready=well)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_healthy_is_200_and_trouble_is_503_with_its_reason() -> None:
    with served(healthy=lambda: "inference has stopped") as url:
        assert get(f"{url}/healthz") == (503, "inference has stopped\n")
        assert get(f"{url}/readyz") == (200, "ok\n")
        assert get(f"{url}/else")[0] == 404


def test_a_client_that_says_nothing_holds_up_no_other() -> None:
    with served() as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            assert get(f"{url}/readyz") == (200, "ok\n")


def test_a_taken_port_is_a_one_line_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port}: Address already in use"):
            HttpServer("127.0.0.1", port, metrics=bytes, healthy=well, ready=well)


def test_what_the_stages_counted_is_what_prometheus_reads() -> None:
    counts = StreamCounts(
        state="up",
        up=True,
        last_frame_utc_s=1.7e9,
        clock_offset_s=-0.25,
        stride_s=2.0,
        stride_set_s=0.5,
        frames_decoded=500,
        frames_converted=40,
        decode_errors=2,
        windows=10,
        windows_dropped={"coverage": 3},
        reconnects={"timeout": 4},
        packets_skipped={"gop": 250},
    )
    delivery = DeliveryCounts(
        published={"event": 7},
        subscribers=2,
        refused={"key": 5},
        replay_requests={"ok": 3, "malformed": 1},
        replayed_messages=10,
        journal_errors=6,
        journal_waiting=8,
        journal_lost=9,
        journal_bytes=4096,
    )
    reloads = ReloadCounts({"applied": 2, "rejected": 1}, rejected=True, in_force_utc_s=1.8e9)
    metrics = Metrics(lambda: Snapshot({"cam": counts}, delivery, reloads, {"version": "1"}))
    metrics.event_latency_seconds.labels("cam").observe(0.03)
    with served(metrics) as url:
        status, text = get(f"{url}/metrics")
    assert status == 200
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("streamcls_source_state", "cam", "up"): 1,
        ("streamcls_source_state", "backoff", "cam"): 0,
        ("streamcls_source_up", "cam"): 1,
        ("streamcls_source_last_frame_timestamp_seconds", "cam"): 1.7e9,
        ("streamcls_source_clock_offset_seconds", "cam"): -0.25,
        ("streamcls_stride_seconds", "cam"): 2.0,
        ("streamcls_stride_set_seconds", "cam"): 0.5,
        ("streamcls_config_last_reload_successful",): 0,
        ("streamcls_config_last_reload_success_timestamp_seconds",): 1.8e9,
        ("streamcls_config_reloads_total", "rejected"): 1,
        ("streamcls_frames_decoded_total", "cam"): 500,
        ("streamcls_frames_converted_total", "cam"): 40,
        ("streamcls_decode_errors_total", "cam"): 2,
        ("streamcls_windows_total", "cam"): 10,
        ("streamcls_windows_dropped_total", "cam", "coverage"): 3,
        ("streamcls_packets_skipped_total", "cam", "gop"): 250,
        ("streamcls_source_reconnects_total", "cam", "timeout"): 4,
        ("streamcls_events_published_total", "event"): 7,
        ("streamcls_subscribers",): 2,
        ("streamcls_connections_refused_total", "key"): 5,
        ("streamcls_replay_requests_total", "ok"): 3,
        ("streamcls_replay_requests_total", "malformed"): 1,
        ("streamcls_replayed_messages_total",): 10,
        ("streamcls_journal_errors_total",): 6,
        ("streamcls_journal_waiting",): 8,
        ("streamcls_journal_lost_total",): 9,
        ("streamcls_journal_size_bytes",): 4096,
        ("streamcls_event_latency_seconds_bucket", "0.03", "cam"): 1,
        ("streamcls_build_info", "1"): 1,
    }
    assert {key: values.get(key) for key in expected} == expected


def test_what_breaks_while_it_answers_is_logged_and_shows_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> str:
        raise RuntimeError("CUDA out of memory for rtsp://admin:hunter2@192.0.2.1/1")

    server = HttpServer("127.0.0.1", 0, metrics=bytes, healthy=well, ready=well, pending=broken)
    server.start()
    try:
        status, text = get(f"{server.url}/pending")
        assert get(f"{server.url}/healthz") == (200, "ok\n")
    finally:
        server.stop()
    assert (status, text) == (500, "a fault inside streamcls; its log has more\n")
    assert "CUDA out of memory" in caplog.text
    assert "hunter2" not in caplog.text
