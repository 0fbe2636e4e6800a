"""A daemon's figures are found under the names that it gives them."""

from streamcls.observe.metrics import DeliveryCounts, Metrics, ReloadCounts, Snapshot, StreamCounts
from streamcls.observe.samples import samples_in


def test_a_streams_count_is_found_by_stream_and_reason() -> None:
    counts = StreamCounts(
        state="up",
        up=True,
        last_frame_utc_s=None,
        clock_offset_s=None,
        stride_s=1.0,
        stride_set_s=1.0,
        frames_decoded=9,
        frames_converted=8,
        decode_errors=0,
        windows=7,
        windows_dropped={"superseded": 3},
    )
    delivery = DeliveryCounts({}, 0, {}, {}, 0, 0, 0, 0, 0)
    reloads = ReloadCounts({"applied": 2}, rejected=False, in_force_utc_s=0)
    now = Snapshot({"cam": counts}, delivery, reloads, {"version": "1"})
    found = samples_in(Metrics(lambda: now).exposition().decode())
    assert found["streamcls_windows_dropped_total", "cam", "superseded"] == 3
    assert found["streamcls_windows_total", "cam"] == 7
    assert found["streamcls_config_reloads_total", "applied"] == 2
