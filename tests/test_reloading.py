"""SIGHUP to a real daemon: what changed changes, and the others never notice."""

import signal
from itertools import pairwise
from pathlib import Path

import pytest

from streamcls.events import PredictionData, StatusData
from tests.models.small import SPEC, write_small
from tests.serving import Served, config, serving, stream
from tests.videos import write_video

EAGER = "[decisions]\nsmoothing_s = 0\non_threshold = 0.34\noff_threshold = 0\nmin_duration_s = 0\n"
WHOLE_S = 0.5
_FRAME_S = 1 / 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_small(tmp_path / "small.safetensors", seed=1, name="first")
    write_video(tmp_path / "clip.mp4", frames=1200, fps=10, gop=10)
    return tmp_path


def camera(name: str, **more: str) -> str:
    return stream(name, "clip.mp4", stride_s=str(WHOLE_S), **more)


class Operator:
    """Edits one configuration file of one running daemon, and asks for it to be read again."""

    def __init__(self, served: Served, path: Path) -> None:
        self.served, self.path = served, path
        self._text = path.read_text()
        self._reloads = 0

    def write(self, *changes: tuple[str, str]) -> None:
        text = self._text
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.path.write_text(text)

    def hang_up(self) -> None:
        self.served.process.send_signal(signal.SIGHUP)

    def reload(self, *changes: tuple[str, str]) -> None:
        """Change the file, and wait until the daemon has dealt with it."""
        self.write(*changes)
        before = self.total()
        self.hang_up()
        while self.total() == before:
            self.served.receive()

    def total(self) -> int:
        return sum(self.count(result) for result in ("applied", "unchanged", "rejected"))

    def count(self, result: str) -> int:
        wanted = f'streamcls_config_reloads_total{{result="{result}"}} '
        metrics = self.served.get("/metrics")
        return int(float(metrics.partition(wanted)[2].partition("\n")[0]))

    def take(self, name: str, predictions: int) -> None:
        """Receive so many more predictions of a stream."""
        wanted = len(self.served.of(name).predictions) + predictions
        while len(self.served.of(name).predictions) < wanted:
            self.served.receive()


def untouched(served: Served, name: str) -> None:
    """Whether a stream has had every window of one connection, and one open event throughout."""
    heard = served.of(name)
    # Problems of the daemon are told in a status of every stream, of the state it is in.
    assert list(dict.fromkeys(heard.states)) == ["connecting", "warming_up", "up"]
    assert {one.stream_epoch for one in heard.predictions} == {1}
    steps = {round(b.start_s - a.start_s, 6) for a, b in pairwise(heard.predictions)}
    assert steps == {WHOLE_S}
    assert "end" not in {event.transition for event in heard.events}


def test_streams_are_added_removed_and_restarted_and_their_neighbour_never_notices(
    folder: Path,
) -> None:
    path = config(
        folder, camera("keep") + camera("move"), model=folder / "small.safetensors", more=EAGER
    )
    with serving(path) as served:
        operator = Operator(served, path)
        operator.take("move", 2)
        operator.reload((camera("move"), camera("move") + camera("new")))
        served.until_state("new", "up")
        operator.reload((camera("move"), camera("move", loop="true")))
        operator.take("move", 2)
        operator.reload((camera("move"), ""))
        assert served.until_state("move", "stopped").reason == "removed"
        operator.take("keep", 3)
        assert 'stream="move"' not in served.get("/metrics")
        assert operator.count("applied") == 3
        untouched(served, "keep")
        moved = served.of("move")
        # Restarted once, which is not the end of it; and all that was open has ended.
        assert moved.states.count("connecting") == 2
        assert moved.states.count("stopped") == 1
        assert {event.reason for event in moved.whole_events()} == {"reload"}
        assert moved.predictions[-1].stream_epoch == 2
        ids = [event.event_id for event in moved.whole_events()]
        assert len(ids) == len(set(ids))
        assert served.terminate() == 0


def test_a_storm_of_signals_reads_the_file_a_few_times_and_loses_nothing(folder: Path) -> None:
    path = config(folder, camera("keep"), model=folder / "small.safetensors", more=EAGER)
    with serving(path) as served:
        operator = Operator(served, path)
        operator.take("keep", 2)
        operator.write((camera("keep"), camera("keep") + camera("late")))
        for _ in range(300):
            operator.hang_up()
        served.until_state("late", "up")
        operator.take("keep", 2)
        assert operator.count("applied") == 1
        assert operator.count("unchanged") < 100
        untouched(served, "keep")


def test_a_file_that_is_wrong_changes_nothing_and_is_complained_of_until_it_is_right(
    folder: Path,
) -> None:
    path = config(folder, camera("keep"), model=folder / "small.safetensors", more=EAGER)
    secret = "rtsp://user:hunter2@[192.0.2.1/1"
    with serving(path) as served:
        operator = Operator(served, path)
        operator.take("keep", 2)
        operator.reload(
            (camera("keep"), camera("keep") + "[[streams]]\nid = 'bad id'\nurl = '1'\n")
        )
        problem = ""
        while not problem:
            data = served.receive().data
            problem = data.problems[0] if isinstance(data, StatusData) and data.problems else ""
        assert problem.startswith("configuration: not reloaded; ")
        assert "'bad id'" in problem
        assert "reject it:" in served.get("/pending")
        operator.reload((camera("keep"), camera("keep") + stream("odd", secret, nonsense="1")))
        assert operator.count("rejected") == 2
        operator.reload()
        while not (isinstance(data := served.receive().data, StatusData) and not data.problems):
            pass
        operator.take("keep", 2)
        untouched(served, "keep")
        assert served.terminate() == 0
        output = served.output()
        assert "not reloaded, the old configuration stays in force" in output
        assert "hunter2" not in output
        assert "Traceback" not in output


def test_a_new_model_takes_over_without_a_stretch_of_time_that_neither_saw(folder: Path) -> None:
    model = folder / "small.safetensors"
    path = config(folder, camera("keep"), model=model, more=EAGER)
    with serving(path) as served:
        operator = Operator(served, path)
        operator.take("keep", 4)
        write_small(model, seed=2, name="second")
        assert "use the model second" in served.get("/pending")
        operator.reload()
        while served.of("keep").predictions[-1].model != "second":
            served.receive()
        operator.take("keep", 3)
        heard = served.of("keep")
        assert served.terminate() == 0
    assert heard.states == ["connecting", "warming_up", "up"]
    models = [one.model for one in heard.predictions]
    assert models == sorted(models)  # first, first, ... second, second
    gaps = [b.end_s - a.end_s for a, b in pairwise(heard.predictions)]
    assert max(gaps) <= WHOLE_S + _FRAME_S
    assert all(one.end_s - one.start_s == pytest.approx(_span_s()) for one in heard.predictions)
    ended = [event for event in heard.events if event.transition == "end"]
    assert {event.reason for event in ended} == {"reload"}


def _span_s() -> float:
    return float((SPEC.num_frames - 1) * SPEC.frame_interval_s)


def test_what_a_reload_would_do_can_be_asked_first(folder: Path) -> None:
    path = config(folder, camera("keep"), model=folder / "small.safetensors", more=EAGER)
    with serving(path) as served:
        operator = Operator(served, path)
        operator.take("keep", 1)
        assert served.get("/pending").splitlines() == [str(path.resolve()), "change nothing"]
        operator.write((camera("keep"), camera("keep") + camera("late")))
        assert served.get("/pending").splitlines()[1:] == ["add late"]
        assert operator.total() == 0
        data = [one for one in served.messages if isinstance(one.data, PredictionData)]
        assert {one.subject for one in data} == {"keep"}
