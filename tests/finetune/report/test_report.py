"""The report is one page that says what happened, whatever files and labels are called."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from streamcls.finetune.data import VideoData
from streamcls.finetune.report.figures import by_class, confusion, most_confused, scored, worst
from streamcls.finetune.training.recipe import Recipe
from streamcls.finetuning import train
from streamcls.models.manifest import Activation
from tests.finetune.ramps import write_ramps
from tests.models.small import write_small

HOSTILE = "<script>alert('$1$')"


class Page(HTMLParser):
    """Elements, texts and references of a page; fails where tags do not match."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.references += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_ramps(folder / "data", train=2, val=2)
    write_small(folder / "base.safetensors")
    for split in ("train", "val"):
        rise = (folder / "data" / split / "rise").rename(folder / "data" / split / HOSTILE)
        shutil.copy(folder / "data" / "train" / "fall" / "00.mp4", rise / "<img src=x>.mp4")
    return folder


def page(home: Path, data: VideoData | Path) -> tuple[Page, str]:
    train(
        data,
        model=str(home / "base.safetensors"),
        out=home / "m.safetensors",
        recipe=Recipe(epochs=2, workers=0),
        run_dir=home / "run",
        progress=False,
    )
    text = (home / "run" / "report.html").read_text()
    return Page(text), text


def test_it_is_one_file_with_everything_in_it_and_nothing_of_anybodys(home: Path) -> None:
    found, text = page(home, home / "data")
    assert "script" not in found.elements
    assert found.elements.count("svg") == 3
    strips = [one for one in found.references if one.startswith("data:image/jpeg;base64,")]
    assert len(strips) == found.elements.count("img") >= 4
    assert all(one.startswith(("data:", "#")) for one in found.references)
    assert not re.search(r"url\(\s*['\"]?https?:", text)
    for said in (HOSTILE, "<img src=x>.mp4", "val_accuracy", "Calibration", "batch_size", "x3d_xs"):
        assert said in found.text
    assert "in training and in validation at once" in found.text


def test_several_labels_have_no_confusion_but_all_the_rest(home: Path) -> None:
    files = sorted((home / "data").glob("train/*/*.mp4"))
    labels = [["moves", "fall"] if "fall" in str(path) else [] for path in files]
    found, _ = page(home, VideoData.from_lists(files, labels, files, labels, multi_label=True))
    assert "Confusion" not in found.text
    assert found.elements.count("svg") == 2
    assert "val_map" in found.text


def test_figures_are_those_of_the_clips_that_could_be_read() -> None:
    logits = torch.tensor([[3.0, 0, 0], [torch.nan] * 3, [0, 3.0, 0], [0, 2.0, 0]])
    targets = torch.eye(3)[[0, 0, 1, 0]]
    clips = scored(("a", "b", "c"), logits, targets, Activation.SOFTMAX)
    matrix = confusion(clips)
    assert matrix == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert most_confused(clips.labels, matrix) == [("a", "b", 1)]
    assert worst(clips, 1) == [2]
    assert clips.numbers.tolist() == [0, 2, 3]
    a, b, c = by_class(clips)
    assert (a.clips, a.precision, a.recall) == (2, 1.0, 0.5)
    assert (b.precision, b.recall) == (0.5, 1.0)
    assert b.f1 == pytest.approx(2 / 3)
    assert [c.precision, c.recall, c.f1, c.average_precision] == [None] * 4
