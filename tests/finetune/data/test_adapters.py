"""What other tools hold becomes the same records."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.data import Record, VideoData
from streamcls.finetune.data.label_studio import read_export

# As Label Studio's documentation shows an export of the template "Video Timeline Segmentation".
TASKS: list[dict[str, Any]] = [
    {
        "id": 1,
        "data": {"video": "/data/upload/3/1a2b3c4d-yard.mp4"},
        "annotations": [
            {
                "was_cancelled": False,
                "updated_at": "2026-01-01T00:00:00Z",
                "result": [{"type": "choices", "to_name": "video", "value": {"choices": ["old"]}}],
            },
            {
                "was_cancelled": False,
                "updated_at": "2026-02-01T00:00:00Z",
                "result": [
                    {
                        "type": "timelinelabels",
                        "to_name": "video",
                        "value": {
                            "ranges": [{"start": 1, "end": 50}, {"start": 101, "end": 150}],
                            "timelinelabels": ["wave"],
                        },
                    }
                ],
            },
        ],
    },
    {
        "id": 2,
        "data": {"video": "/data/local-files/?d=night/door%20cam.mp4"},
        "annotations": [
            {"was_cancelled": True, "result": [{"type": "choices", "value": {"choices": ["no"]}}]},
            {
                "was_cancelled": False,
                "result": [{"type": "choices", "value": {"choices": ["sit"]}}],
            },
        ],
    },
    {"id": 3, "data": {"video": "skipped.mp4"}, "annotations": []},
]


def test_a_label_studio_export_gives_choices_and_stretches(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    for name in ("yard.mp4", "night/door cam.mp4"):
        (tmp_path / name).touch()
    export = tmp_path / "export.json"
    export.write_text(json.dumps(TASKS))
    assert read_export(export, tmp_path, 25) == [
        Record(tmp_path / "yard.mp4", ("wave",), 0.0, 2.0),
        Record(tmp_path / "yard.mp4", ("wave",), 4.0, 6.0),
        Record(tmp_path / "night" / "door cam.mp4", ("sit",)),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ('[{"data": {}}]', "no Label Studio export of format JSON"),
        ("[]", "holds no video with choices or timeline labels"),
    ],
)
def test_what_is_no_export_is_named(tmp_path: Path, text: str, said: str) -> None:
    export = tmp_path / "export.json"
    export.write_text(text)
    with pytest.raises(DataError, match=said):
        VideoData.from_label_studio(export, tmp_path)


def test_without_fiftyone_a_datasets_name_says_what_to_install() -> None:
    try:
        import fiftyone  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match=r"streamcls\[fiftyone\]"):
            VideoData.from_fiftyone("quickstart-video")
    else:
        pytest.skip("FiftyOne is installed")


def test_a_fiftyone_dataset_gives_classes_and_stretches(tmp_path: Path) -> None:
    fiftyone = pytest.importorskip("fiftyone", reason="needs: pip install fiftyone")
    samples = []
    for number, label in enumerate(("wave", "sit", "wave", "sit")):
        sample = fiftyone.Sample(filepath=str(tmp_path / f"{number}.mp4"))
        sample["ground_truth"] = fiftyone.Classification(label=label)
        sample["person"] = f"p{number // 2}"
        sample["times"] = fiftyone.TemporalDetections(
            detections=[fiftyone.TemporalDetection(label=label, support=[26, 50])]
        )
        sample["none"] = None
        sample.metadata = fiftyone.VideoMetadata(frame_rate=25)
        samples.append(sample)
    # Samples as they come out of a dataset, which itself needs a MongoDB server.
    data = VideoData.from_fiftyone(samples, group="person", val_share=0.5)
    assert data.labels == ("sit", "wave")
    assert {record.group for record in data.train} != {record.group for record in data.val}
    times = VideoData.from_fiftyone(samples, samples, field="times")
    assert times.train[0] == Record(tmp_path / "0.mp4", ("wave",), 1.0, 2.0)
    with pytest.raises(DataError, match=r"no sample .* has labels in its field 'none'"):
        VideoData.from_fiftyone(samples, field="none")
