"""`streamcls predict` and `streamcls evaluate` from the command line."""

import csv
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import pytest
import typer
from typer.testing import CliRunner, Result

from streamcls.cli_evaluate import evaluate
from streamcls.cli_predict import predict
from streamcls.errors import ConfigError, DataError
from streamcls.models.bundle import load_bundle
from tests.offline.conftest import SCENES
from tests.offline.footage import truth_of, write_scenes

app = typer.Typer()
app.command()(predict)
app.command()(evaluate)


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings with their label tracks beside them, and one that is no video."""
    folder = tmp_path_factory.mktemp("yard")
    for name in ("monday", "tuesday"):
        write_scenes(folder / f"{name}.mp4", SCENES)
        track = [
            {"label": part.label, "start_s": part.start_s, "end_s": part.end_s}
            for part in truth_of(SCENES)
        ]
        (folder / f"{name}.json").write_text(json.dumps(track))
    return folder


@pytest.fixture
def spoilt(yard: Path, tmp_path: Path) -> Path:
    for path in yard.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "bad.json").write_text("[]")
    return tmp_path


def test_a_table_names_each_video(yard: Path, bundle: Path) -> None:
    result = run("predict", yard, "--model", bundle, "--stride", 2)
    assert result.exit_code == 0, result.output
    assert "monday" in result.stdout
    assert "tuesday" in result.stdout


def test_a_bad_file_is_named_and_counted_and_the_exit_code_says_so(
    spoilt: Path, bundle: Path
) -> None:
    result = run("predict", spoilt, "--model", bundle, "--format", "jsonl", "--stride", 2)
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["bad.mp4", "monday.mp4", "tuesday.mp4"]
    assert "error" in lines[0]
    assert "bad.mp4 is not a video file" in result.stderr
    assert "1 of 3 file(s) failed" in result.stderr


def test_a_short_video_is_said_to_be_held(bundle: Path, tmp_path: Path) -> None:
    short = write_scenes(tmp_path / "short.mp4", [("rise", 0.2)])
    result = run("predict", short, "--model", bundle)
    assert result.exit_code == 0
    assert "short.mp4 is shorter than a clip; its last frame shows on" in result.stderr


def test_csv_goes_to_a_file(yard: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run("predict", yard, "--model", bundle, "--format", "csv", "--out", out).exit_code == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows].count("video") == 2


def test_subtitles_and_videos_of_several_files_go_to_a_folder(
    yard: Path, bundle: Path, tmp_path: Path
) -> None:
    for form, suffix in (("vtt", ".vtt"), ("video", ".mp4")):
        out = tmp_path / form
        result = run(
            "predict", yard, "--model", bundle, "--format", form, "--out", out, "--stride", 2
        )
        assert result.exit_code == 0, result.output
        assert [path.stem for path in sorted(out.iterdir())] == ["monday", "tuesday"]
        assert {path.suffix for path in out.iterdir()} == {suffix}
    with av.open(str(tmp_path / "video" / "monday.mp4")) as container:
        assert len(list(container.decode(video=0))) == 130
    single = run("predict", yard / "monday.mp4", "--model", bundle, "--format", "vtt")
    assert (
        single.stdout == (tmp_path / "vtt" / "monday.vtt").read_text() or "WEBVTT" in single.stdout
    )


def test_files_of_one_name_do_not_overwrite_each_other(
    yard: Path, bundle: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").symlink_to(yard / "monday.mp4")
    out = tmp_path / "out"
    videos = (tmp_path / "a", tmp_path / "b")
    assert (
        run("predict", *videos, "--model", bundle, "--format", "vtt", "--out", out).exit_code == 0
    )
    assert len(list(out.iterdir())) == 2


def test_what_cannot_be_written_is_refused_before_anything_is_read(
    yard: Path, bundle: Path, tmp_path: Path
) -> None:
    cases = [("video",), ("vtt",), ("table", "--out", tmp_path / "x")]
    for form, *more in cases:
        result = run("predict", yard, "--model", bundle, "--format", form, *more)
        assert isinstance(result.exception, ConfigError), form
        assert "--" in str(result.exception)


def test_a_video_is_never_written_over_itself(bundle: Path, tmp_path: Path) -> None:
    video = write_scenes(tmp_path / "x.mp4", [("rise", 1.0)])
    before = video.read_bytes()
    result = run("predict", video, "--model", bundle, "--format", "video", "--out", tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert video.read_bytes() == before


def test_a_progress_bar_on_a_terminal_takes_nothing_from_what_is_piped(
    yard: Path, bundle: Path
) -> None:
    terminal, side = pty.openpty()
    program = "import typer; from streamcls.cli_predict import predict; typer.run(predict)"
    command = [sys.executable, "-c", program, str(yard / "monday.mp4"), "--format", "jsonl"]
    with subprocess.Popen(
        [*command, "--model", str(bundle)], stdout=subprocess.PIPE, stderr=side, text=True
    ) as process:
        os.close(side)
        shown = b""
        with suppress(OSError):  # the terminal's end, once nobody holds its other side
            while piece := os.read(terminal, 4096):
                shown += piece
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
    os.close(terminal)
    assert process.returncode == 0
    assert b"videos" in shown
    assert [json.loads(line)["path"] for line in lines] == [str(yard / "monday.mp4")]


def test_two_evaluations_print_the_same_bytes(yard: Path, bundle: Path) -> None:
    for form in ([], ["--json"]):
        first, second = (run("evaluate", bundle, "--videos", yard, *form) for _ in range(2))
        assert first.exit_code == 0, first.output
        assert first.stdout == second.stdout
    document = json.loads(first.stdout)
    assert document["recordings"] == 2
    assert document["total"]["segments"] == 4
    assert document["total"]["windows"] == 26


def test_labels_may_come_as_one_csv(yard: Path, bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "tracks.csv"
    rows = [
        f"{name}.mp4,{part.label},{part.start_s},{part.end_s}"
        for name in ("monday", "tuesday")
        for part in truth_of(SCENES)
    ]
    table.write_text("\n".join(["video,label,start_s,end_s", *rows]))
    beside = run("evaluate", bundle, "--videos", yard, "--json")
    assert run("evaluate", bundle, "--videos", yard, "--labels", table, "--json").stdout == (
        beside.stdout
    )


def test_a_recording_that_fails_is_named_and_the_exit_code_says_so(
    spoilt: Path, bundle: Path
) -> None:
    result = run("evaluate", bundle, "--videos", spoilt, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["recordings"] == 2
    assert "1 of 3 recording(s) failed" in result.stderr


def test_tuning_writes_a_model_file_and_tells_f1_before_and_after(
    yard: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned.safetensors"
    result = run("evaluate", bundle, "--videos", yard, "--tune", out, "--json")
    assert result.exit_code == 0, result.output
    before, after = json.loads(result.stdout).values()
    assert after["total"]["f1"] >= (before["total"]["f1"] or 0)
    assert "before" in result.stderr
    tuned = load_bundle(out)
    assert set(tuned.manifest.decisions.labels) == {"rise", "fall"}
    # The file alone gives what was promised of it.
    again = json.loads(run("evaluate", out, "--videos", yard, "--json").stdout)
    assert again["total"] == after["total"]


def test_a_recording_without_a_track_is_refused(bundle: Path, day: Path) -> None:
    result = run("evaluate", bundle, "--videos", day)
    assert isinstance(result.exception, DataError)
