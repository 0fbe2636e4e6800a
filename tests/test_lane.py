"""One reading of one stream: payloads that add up, and policies from the most specific table."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from streamcls.config import (
    DecisionSettings,
    Settings,
    StreamSettings,
    WindowSettings,
    parse_settings,
)
from streamcls.engine import Engine
from streamcls.errors import ConfigError
from streamcls.events import EventData, Payload, PredictionData
from streamcls.frames import Prediction
from streamcls.lane import Lane, LaneSettings, Watch, decision_policies
from streamcls.models.backends import TorchBackend
from streamcls.models.bundle import DecisionDefaults, LoadedModel, load_bundle
from streamcls.observe.page import Legend
from streamcls.pipeline.decisions import Policy
from tests.models.small import write_small
from tests.pipeline.stubs import ManualClock, window

EAGER = DecisionSettings(smoothing_s=0, on_threshold=0.6, off_threshold=0.4, min_duration_s=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path, decisions=DecisionDefaults(background_label="rest"))
    return load_bundle(path)


def lane_settings(model: LoadedModel, stride_s: float = 0.5) -> LaneSettings:
    settings = Settings(
        streams=[StreamSettings("yard", "yard.mp4")],
        windows=WindowSettings(stride_s=stride_s),
        decisions=EAGER,
    )
    return LaneSettings.of(settings.streams[0], settings, Engine(model, TorchBackend(model)))


def lane(model: LoadedModel, watch: Watch | None = None) -> Lane:
    return Lane(
        StreamSettings("yard", "yard.mp4"),
        lane_settings(model),
        number=0,
        epochs_before=0,
        boot_id="boot",
        next_event=itertools.count(1).__next__,
        clock=ManualClock(1.0),
        watch=watch,
    )


def prediction(
    end_s: float, *scores: float, epoch: int = 1, clock_offset_s: float | None = None
) -> Prediction:
    row = np.array(scores, np.float32)
    cut = window("yard", end_s, epoch=epoch, clock_offset_s=clock_offset_s)
    return Prediction(cut, row, 0.4, 0.7)


def events(payloads: list[Payload]) -> list[EventData]:
    return [payload for payload in payloads if isinstance(payload, EventData)]


def test_a_prediction_carries_its_scores_best_first_and_latencies_that_add_up(
    model: LoadedModel,
) -> None:
    data = next(iter(lane(model).report(prediction(2, 0.2, 0.7, 0.1))))
    assert isinstance(data, PredictionData)
    assert [(s.label, s.index) for s in data.top] == [("rise", 1), ("rest", 0), ("fall", 2)]
    assert data.model_hash == model.file_hash
    assert data.stride_s == 0.5
    latency = data.latency
    parts = latency.window_ms + latency.queue_ms + latency.inference_ms + latency.publish_ms
    assert parts == pytest.approx(latency.total_ms)
    assert latency.total_ms == 1000


def test_events_of_one_label_share_an_id_until_they_end_and_the_next_has_another(
    model: LoadedModel,
) -> None:
    reading = lane(model)
    log: list[EventData] = []
    for end_s, rise in [(1, 0.9), (2, 0.9), (3, 0.1), (20, 0.9), (21, 0.1)]:
        log += events(list(reading.report(prediction(end_s, 0.0, rise, 0.0))))
    rise_log = [event for event in log if event.label == "rise"]
    assert [event.transition for event in rise_log] == ["start", "end", "start", "end"]
    ids = [event.event_id for event in rise_log]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert [event.reason for event in rise_log] == [None, "label_off", None, "label_off"]
    # The times are those of window centres: windows end at 1 and 2 s and are 1 s long.
    assert (rise_log[1].start_s, rise_log[1].end_s) == (0.5, 1.5)


def test_who_watches_is_told_the_scores_that_thresholds_are_held_against(
    model: LoadedModel,
) -> None:
    told: list[tuple[float, list[float], Legend]] = []

    def watch(of: Prediction, smoothed: npt.NDArray[np.floating], legend: Legend) -> None:
        told.append((float(of.window.end_s), smoothed.round(3).tolist(), legend))

    reading = lane(model, watch)
    for end_s, rise in ((1, 0.25), (2, 0.75)):
        list(reading.report(prediction(end_s, 0.0, rise, 0.0)))
    assert [(end_s, smoothed) for end_s, smoothed, _ in told] == [
        (1, [0, 0.25, 0]),
        (2, [0, 0.75, 0]),
    ]
    legend = told[0][2]
    assert told[1][2] is legend
    assert (legend.on, legend.off) == ([None, 0.6, 0.6], [None, 0.4, 0.4])
    assert (legend.crop, legend.interval_s) == (32, 0.1)


def test_an_epochs_end_is_told_as_a_lost_stream(model: LoadedModel) -> None:
    reading = lane(model)
    list(reading.report(prediction(1, 0.0, 0.9, 0.0)))
    log = events(list(reading.report(prediction(1, 0.9, 0.0, 0.0, epoch=2))))
    assert (log[0].transition, log[0].label, log[0].reason) == ("end", "rise", "stream_lost")
    assert log[0].stream_epoch == 1


def test_ending_all_gives_the_reason_and_leaves_nothing_open(model: LoadedModel) -> None:
    reading = lane(model)
    list(reading.report(prediction(1, 0.0, 0.9, 0.0)))
    assert [e.reason for e in events(list(reading.end_events("shutdown")))] == ["shutdown"]
    assert list(reading.end_events("shutdown")) == []


def test_several_labels_may_have_events_open_at_once(model: LoadedModel) -> None:
    reading = lane(model)
    log = events(list(reading.report(prediction(1, 0.9, 0.9, 0.8))))
    assert [(event.transition, event.label) for event in log] == [
        ("start", "rise"),
        ("start", "fall"),
    ]
    assert len({event.event_id for event in log}) == 2


def test_the_cameras_clock_is_told_with_what_it_saw(model: LoadedModel) -> None:
    reading = lane(model)
    told = list(reading.report(prediction(1, 0.0, 0.9, 0.0, clock_offset_s=-3.5)))
    assert isinstance(told[0], PredictionData)
    assert [told[0].clock_offset_s, events(told)[0].clock_offset_s] == [-3.5, -3.5]
    # The camera's clock was set right while the event was open.
    list(reading.report(prediction(2, 0.0, 0.9, 0.0, clock_offset_s=0.25)))
    assert [e.clock_offset_s for e in events(list(reading.end_events("shutdown")))] == [0.25]


def test_a_stride_that_was_rounded_is_said(model: LoadedModel) -> None:
    assert lane_settings(model, 0.5).rounded_stride() == ""
    assert "stride 0.33 s becomes 0.3 s" in lane_settings(model, 0.33).rounded_stride()


def policies(model: LoadedModel, text: str, stream: int = 0) -> list[Policy | None]:
    """Those of one of two streams, of labels rest, rise and fall; rest is the background."""
    streams = '[[streams]]\nid = "{}"\nurl = "x.mp4"\n{}\n'
    own, _, general = text.partition("----\n")
    settings = parse_settings(streams.format("yard", own) + streams.format("gate", "") + general)
    return decision_policies(settings, settings.streams[stream], model)


def refusal(model: LoadedModel, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        policies(model, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_settings_the_model_files_defaults_hold(model: LoadedModel) -> None:
    rest, rise, fall = policies(model, "----\n")
    assert rest is None
    assert rise == fall == Policy(**model.manifest.decisions.for_labels())


def test_each_setting_is_that_of_the_most_specific_table_that_has_it(model: LoadedModel) -> None:
    text = """
        [streams.decisions]
        cooldown_s = 31
        min_duration_s = 41
        [streams.decisions.labels.rise]
        min_duration_s = 42
        ----
        [decisions]
        on_threshold = 0.7
        smoothing_s = 11
        cooldown_s = 12
        update_s = 13
        [decisions.labels.rise]
        smoothing_s = 21
        cooldown_s = 22
        min_duration_s = 23
    """.replace("        ", "")
    defaults = model.manifest.decisions
    general = {"on_threshold": 0.7, "off_threshold": defaults.off_threshold, "update_s": 13}
    yard = {"cooldown_s": 31, **general}
    assert policies(model, text, 0) == [
        None,
        Policy(smoothing_s=21, min_duration_s=42, **yard),
        Policy(smoothing_s=11, min_duration_s=41, **yard),
    ]
    assert policies(model, text, 1) == [
        None,
        Policy(smoothing_s=21, min_duration_s=23, cooldown_s=22, **general),
        Policy(smoothing_s=11, min_duration_s=defaults.min_duration_s, cooldown_s=12, **general),
    ]


def test_a_stream_may_have_another_background_label_or_none(model: LoadedModel) -> None:
    text = (
        '[streams.decisions]\nbackground_label = "rise"\n----\n[decisions]\nbackground_label = ""'
    )
    assert [policy is None for policy in policies(model, text, 0)] == [False, True, False]
    assert [policy is None for policy in policies(model, text, 1)] == [False, False, False]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("----\n[decisions.labels.raise]", "`decisions.labels.raise`"),
        ("[streams.decisions.labels.raise]\n----\n", "`streams[0].decisions.labels.raise`"),
        ('----\n[decisions.labels."a b"]', '`decisions.labels."a b"`'),
        ('----\n[decisions]\nbackground_label = "raise"', "`decisions.background_label`"),
        (
            '[streams.decisions]\nbackground_label = "raise"\n----\n',
            "`streams[0].decisions.background_label`",
        ),
    ],
)
def test_a_label_the_model_lacks_is_named_with_its_key(
    text: str, key: str, model: LoadedModel
) -> None:
    message = refusal(model, text)
    assert message.startswith(key)
    assert "it has rest, rise, fall" in message


def test_a_table_for_the_background_label_is_refused(model: LoadedModel) -> None:
    for text in ("[streams.decisions.labels.rest]\n----\n", "----\n[decisions.labels.rest]\n"):
        assert "'rest' is the background label" in refusal(model, text)
    # It may be meant for the one stream that has another background.
    text = '[streams.decisions]\nbackground_label = "rise"\n----\n[decisions.labels.rest]\n'
    assert policies(model, text, 0)[1] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "----\n[decisions]\non_threshold = 0.1",
            "the model file's off_threshold = 0.4 is above `decisions.on_threshold` = 0.1",
        ),
        (
            "----\n[decisions.labels.rise]\non_threshold = 0.5\noff_threshold = 0.8",
            "`decisions.labels.rise.off_threshold` = 0.8 is above"
            " `decisions.labels.rise.on_threshold` = 0.5",
        ),
        (
            "[streams.decisions]\non_threshold = 0.3\n----\n[decisions]\noff_threshold = 0.35",
            "`decisions.off_threshold` = 0.35 is above `streams[0].decisions.on_threshold` = 0.3",
        ),
    ],
)
def test_thresholds_the_wrong_way_round_are_named_where_each_was_set(
    text: str, words: str, model: LoadedModel
) -> None:
    message = refusal(model, text)
    assert words in message
    assert "set both thresholds together" in message
