"""Tables, lists and tensors become the same records, and a wrong row is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from streamcls.errors import DataError
from streamcls.finetune.data import Record, VideoData
from streamcls.finetune.data.checking import check
from streamcls.finetune.data.tables import Columns
from tests.videos import write_video

ROWS = """video,label,start_s,end_s,group
a.mp4,wave,,,one
a.mp4,"sit, slowly",1.5,3,one
sub/b.mp4,wave,0,2,two
sub/b.mp4,"sit, slowly",2,,two
"""


def csv(folder: Path, text: str = ROWS, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_csv_file_gives_stretches_and_groups(tmp_path: Path) -> None:
    data = VideoData.from_csv(csv(tmp_path), val_share=0.5)
    assert data.labels == ("sit, slowly", "wave")
    assert not data.multi_label
    everything = {*data.train, *data.val}
    assert Record(tmp_path / "a.mp4", ("sit, slowly",), 1.5, 3.0, "one") in everything
    assert Record(tmp_path / "sub" / "b.mp4", ("sit, slowly",), 2.0, None, "two") in everything
    assert {record.group for record in data.train} != {record.group for record in data.val}


def test_a_data_frame_gives_what_its_csv_file_gives(tmp_path: Path) -> None:
    path = csv(tmp_path)
    from_file = VideoData.from_csv(path, path)
    frame = pd.read_csv(path)
    from_frame = VideoData.from_data_frame(frame, frame, root=tmp_path)
    assert from_frame.train == from_file.train
    assert from_frame.labels == from_file.labels


def test_several_labels_are_parted_or_have_columns_of_their_own(tmp_path: Path) -> None:
    parted = csv(tmp_path, "video,label\na.mp4,run|jump\nb.mp4,\nc.mp4,run\n")
    data = VideoData.from_csv(parted, parted, columns=Columns(separator="|"))
    assert data.multi_label
    assert [record.labels for record in data.train] == [("run", "jump"), (), ("run",)]
    columns = csv(tmp_path, "file,jump,run\na.mp4,1,1\nb.mp4,0,\nc.mp4,0,1\n", "wide.csv")
    wide = Columns(video="file", one_hot=("jump", "run"))
    again = VideoData.from_csv(columns, columns, columns=wide)
    assert [set(r.labels) for r in again.train] == [set(r.labels) for r in data.train]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na.mp4,x\n", "no column 'video'; its columns: file, label"),
        ("video,label,start_s\na.mp4,x,soon\n", r"row 2: start_s is 'soon', which is no number"),
        ("video,label,start_s,end_s\na.mp4,x,3,1\n", r"row 2: .*a\.mp4: the stretch from 3 to 1"),
        ("video,label\n,x\n", "row 2: names no video"),
        ("video,label\na.mp4,x\nb.mp4,\n", r"b\.mp4 has 0 labels \(none\).*set multi_label"),
        ("", "no column 'video'; its columns: none"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = csv(tmp_path, text)
    with pytest.raises(DataError, match=said):
        VideoData.from_csv(path, path)


def test_a_missing_csv_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.csv cannot be read as CSV"):
        VideoData.from_csv(tmp_path / "no.csv")


def test_lists_must_be_of_one_length() -> None:
    with pytest.raises(DataError, match="2 files but 1 labels"):
        VideoData.from_lists(["a.mp4", "b.mp4"], ["x"])
    data = VideoData.from_lists(["a.mp4", "b.mp4"], ["x", "y"], ["c.mp4", "d.mp4"], ["y", "x"])
    assert [record.labels for record in data.val] == [("y",), ("x",)]


def test_stretches_are_kept_within_their_file(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=60)  # 2 s at 30 fps
    text = "video,label,start_s,end_s\na.mp4,x,0.5,9\na.mp4,y,1,1.5\na.mp4,x,7,9\n"
    path = csv(tmp_path, text)
    checked = check(VideoData.from_csv(path, path))
    assert [float(video.start_s) for video in checked.train] == [0.5, 1.0]
    assert [float(video.length_s) for video in checked.train] == pytest.approx([59 / 30 - 0.5, 0.5])
    assert "[7..9 s] begins after the video's" in checked.skipped[0]


def test_tensors_are_records_too() -> None:
    clips = torch.zeros(4, 6, 40, 50, 3, dtype=torch.uint8)
    data = VideoData.from_tensors((clips, ["a", "b", "a", "b"]), val_share=0.5)
    assert all(isinstance(record.clip, np.ndarray) for record in data.train)
    assert check(data).counts() == {"train": {"a": 1, "b": 1}, "val": {"a": 1, "b": 1}}
    with pytest.raises(DataError, match=r"clip 0 is float32 of shape \(6, 40, 50, 3\)"):
        VideoData.from_tensors((clips.float(), ["a", "b", "a", "b"]))
    with pytest.raises(DataError, match="4 clips but 1 labels"):
        VideoData.from_tensors((clips, ["a"]))
