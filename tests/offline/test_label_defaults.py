"""A model file's decisions for single labels: checked when read, honoured, and overruled."""

from pathlib import Path

import msgspec
import pytest

from streamcls.config import parse_settings
from streamcls.errors import ConfigError, ModelError
from streamcls.lane import decision_policies
from streamcls.models.bundle import DecisionDefaults, LoadedModel, load_bundle
from streamcls.models.manifest import LabelDecisionDefaults
from streamcls.pipeline.decisions import Policy
from tests.models.small import write_small

EAGER_RISE = DecisionDefaults(
    background_label="rest",
    labels={"rise": LabelDecisionDefaults(on_threshold=0.9, off_threshold=0.7)},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path, decisions=EAGER_RISE)
    return load_bundle(path)


def policies(model: LoadedModel, text: str = "") -> list[Policy | None]:
    settings = parse_settings(f'[[streams]]\nid = "yard"\nurl = "yard.mp4"\n{text}')
    return decision_policies(settings, settings.streams[0], model)


def test_a_labels_own_defaults_go_before_those_for_all_labels(model: LoadedModel) -> None:
    rest, rise, fall = policies(model)
    assert rest is None
    general = model.manifest.decisions.for_labels()
    assert fall == Policy(**general)
    assert rise == Policy(**general | {"on_threshold": 0.9, "off_threshold": 0.7})


def test_the_operators_configuration_goes_before_a_labels_own_defaults(model: LoadedModel) -> None:
    _, rise, _ = policies(model, "[decisions]\non_threshold = 0.8\ncooldown_s = 9")
    assert rise is not None
    assert (rise.on_threshold, rise.off_threshold, rise.cooldown_s) == (0.8, 0.7, 9)


def test_thresholds_the_wrong_way_round_name_the_model_files_label(model: LoadedModel) -> None:
    with pytest.raises(ConfigError, match=r"the model file's 'rise' off_threshold = 0.7 is above"):
        policies(model, "[decisions]\non_threshold = 0.5")


def test_a_file_written_before_labels_had_defaults_still_loads() -> None:
    older = msgspec.json.decode(msgspec.json.encode(DecisionDefaults()))
    del older["labels"]
    assert msgspec.convert(older, DecisionDefaults) == DecisionDefaults()


def test_what_is_written_for_a_label_is_read_again(model: LoadedModel) -> None:
    assert model.manifest.decisions == EAGER_RISE


def test_a_label_the_model_lacks_has_no_defaults(tmp_path: Path) -> None:
    unknown = DecisionDefaults(labels={"sky": LabelDecisionDefaults(on_threshold=0.9)})
    with pytest.raises((ModelError, ValueError), match="'sky', which is not one of the labels"):
        write_small(tmp_path / "small.safetensors", decisions=unknown)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (LabelDecisionDefaults(on_threshold=0.3), "off_threshold 0.4 is above on_threshold 0.3"),
        (LabelDecisionDefaults(off_threshold=0.7), "above on_threshold 0.6 for 'rise'"),
    ],
)
def test_a_labels_off_threshold_is_never_above_its_on_threshold(
    own: LabelDecisionDefaults, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        DecisionDefaults(labels={"rise": own})


def test_the_background_label_has_no_defaults_of_its_own() -> None:
    with pytest.raises(ValueError, match="'rest' opens no event"):
        DecisionDefaults(background_label="rest", labels={"rest": LabelDecisionDefaults()})
