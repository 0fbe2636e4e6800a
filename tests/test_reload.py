"""What a changed configuration means: only what changed is touched, and it is said beforehand."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.config import BackendName, ModelSettings, Settings, parse_settings
from streamcls.engine import Engine
from streamcls.errors import ConfigError, ModelError
from streamcls.reload import Plan, Prepared, plan, prepare
from tests.models.small import write_small

CAMERAS = """
    [[streams]]
    id = "front"
    url = "rtsp://user:secret@192.0.2.1/1"
    [[streams]]
    id = "back"
    url = "rtsp://user:secret@192.0.2.2/1"
    [[streams]]
    id = "lab"
    url = "rtsp://192.0.2.3/1"
    isolation = "process"
"""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    folder = tmp_path_factory.mktemp("models")
    write_small(folder / "one.safetensors", name="one", seed=1)
    write_small(folder / "two.safetensors", name="two", seed=2)
    return {
        name: Engine.load(
            ModelSettings(path=str(folder / f"{name}.safetensors"), backend=BackendName.TORCH)
        )
        for name in ("one", "two")
    }


@pytest.fixture(scope="module")
def changes(engines: dict[str, Engine]) -> Callable[..., Plan]:
    def compare(old: str, new: str, model: str = "one") -> Plan:
        before = Prepared.of(settings(old), engines["one"])
        return plan(before, Prepared.of(settings(new), engines[model]))

    return compare


def settings(text: str) -> Settings:
    return parse_settings(text)


def test_nothing_changed_changes_nothing(changes: Callable[..., Plan]) -> None:
    assert changes(CAMERAS, CAMERAS) == Plan()
    assert changes(CAMERAS, CAMERAS + "\n# a remark\n") == Plan()
    assert Plan().lines() == ["change nothing"]


def test_streams_come_and_go_and_the_others_are_left_alone(changes: Callable[..., Plan]) -> None:
    new = CAMERAS.replace('"back"', '"yard"')
    assert changes(CAMERAS, new) == Plan(added=("yard",), removed=("back",))


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        ("192.0.2.1/1", "192.0.2.1/2", "url"),
        ("user:secret@192.0.2.1", "user:other@192.0.2.1", "url"),
        ('id = "front"', 'id = "front"\npace = "fastest"\nloop = true', "pace, loop"),
        ('id = "front"', 'id = "front"\nisolation = "process"', "isolation"),
    ],
)
def test_another_source_restarts_that_stream_alone(
    changes: Callable[..., Plan], before: str, after: str, keys: str
) -> None:
    assert changes(CAMERAS, CAMERAS.replace(before, after)) == Plan(restarted={"front": keys})


def test_limits_of_capture_are_of_all_streams(changes: Callable[..., Plan]) -> None:
    found = changes(CAMERAS, CAMERAS + "[capture]\nread_timeout_s = 9\n")
    assert found == Plan(restarted=dict.fromkeys(["front", "back", "lab"], "[capture]"))
    found = changes(CAMERAS, CAMERAS + "[capture]\nmax_opening = 2\n")
    assert found == Plan(tuned=("capture.max_opening",))
    assert found.lines() == ["set capture.max_opening"]


def test_a_recording_that_was_played_begins_again_only_where_another_is_named(
    engines: dict[str, Engine],
) -> None:
    old = Prepared.of(settings(CAMERAS), engines["one"])
    for text, expected in [
        (
            CAMERAS + "[capture]\nread_timeout_s = 9\n",
            Plan(restarted=dict.fromkeys(["back"], "[capture]")),
        ),
        (CAMERAS + "[windows]\nstride_s = 3\n", Plan(reread=("front", "back", "lab"))),
        (CAMERAS + "[windows]\nmax_stride_s = 3\n", Plan(reread=("front", "back", "lab"))),
        (CAMERAS.replace("192.0.2.1", "192.0.2.9"), Plan(restarted={"front": "url"})),
    ]:
        new = Prepared.of(settings(text), engines["one"])
        assert plan(old, new, over={"front", "lab"}) == expected


def test_what_waits_for_the_next_start_is_what_differs_from_the_last_one(
    engines: dict[str, Engine],
) -> None:
    started = settings(CAMERAS)
    read = settings(CAMERAS + "[journal]\nmax_age_days = 3\n")
    now = Prepared.of(read, engines["one"])
    assert plan(now, now, started=started).waiting == ("journal",)
    back = Prepared.of(started, engines["one"])
    assert plan(now, back, started=started) == Plan()


def test_decisions_of_one_stream_change_without_a_restart(changes: Callable[..., Plan]) -> None:
    new = CAMERAS.replace('id = "front"', 'id = "front"\ndecisions.cooldown_s = 60')
    assert changes(CAMERAS, new) == Plan(reread=("front",))
    new = CAMERAS.replace('id = "front"', 'id = "front"\nstride_s = 3')
    assert changes(CAMERAS, new) == Plan(reread=("front",))


def test_what_comes_out_the_same_is_the_same_however_it_is_written(
    changes: Callable[..., Plan],
) -> None:
    assert changes(CAMERAS, CAMERAS + "[windows]\nstride_s = 1.0\n[publish]\ntop_k = 5\n") == Plan()


def test_a_stream_with_a_process_of_its_own_is_restarted_for_other_windows(
    changes: Callable[..., Plan],
) -> None:
    found = changes(CAMERAS, CAMERAS + "[windows]\nstride_s = 3\n")
    assert found == Plan(reread=("front", "back"), restarted={"lab": "windows, decisions or model"})


def test_another_model_is_named(changes: Callable[..., Plan]) -> None:
    found = changes(CAMERAS, CAMERAS, "two")
    assert (found.model, found.reread) == ("two on torch", ("front", "back"))
    assert found.lines()[0] == "use the model two on torch"


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ('[publish]\nendpoint = "tcp://127.0.0.1:7001"', "publish"),
        ("[journal]\nmax_age_days = 3", "journal"),
        ("[http]\nport = 9600", "http"),
        ("[model]\nthreads = 2", "model.threads"),
        ('[keys]\nsecret = "a"\nauthorized = "b"', "keys"),
    ],
)
def test_what_is_bound_or_opened_once_waits_for_the_next_start_and_says_so(
    changes: Callable[..., Plan], text: str, section: str
) -> None:
    found = changes(CAMERAS, f"{CAMERAS}\n{text}\n")
    assert found == Plan(waiting=(section,))
    assert found.lines() == [f"{section} changed: takes effect at the next start"]


@given(
    before=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    after=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    moved=st.sets(st.sampled_from("abcdefgh")),
)
def test_every_stream_is_in_one_place_at_most_and_all_that_differ_are_in_one(
    changes: Callable[..., Plan], before: list[str], after: list[str], moved: set[str]
) -> None:
    def text(names: list[str], path: Callable[[str], str]) -> str:
        return "".join(f'[[streams]]\nid="{n}"\nurl="rtsp://h/{path(n)}"\n' for n in names)

    found = changes(text(before, str), text(after, lambda n: n + "2" * (n in moved)))
    assert set(found.added) == set(after) - set(before)
    assert set(found.removed) == set(before) - set(after)
    assert set(found.restarted) == set(before) & set(after) & moved
    assert (found.reread, found.waiting, found.model) == ((), (), "")


def test_no_line_of_a_plan_holds_a_password(changes: Callable[..., Plan]) -> None:
    found = changes(CAMERAS, CAMERAS.replace("secret", "hunter2").replace('"lab"', '"den"'))
    assert found.restarted
    assert "secret" not in str(found.lines())
    assert "hunter2" not in str(found.lines())


@pytest.fixture
def served(tmp_path: Path) -> tuple[Path, Prepared]:
    write_small(tmp_path / "small.safetensors", seed=1)
    (tmp_path / "clip.mp4").write_bytes(b"")
    path = tmp_path / "streamcls.toml"
    path.write_text(
        '[[streams]]\nid = "clip"\nurl = "clip.mp4"\n'
        '[model]\npath = "small.safetensors"\nbackend = "torch"'
    )
    now = parse_settings(path.read_text(), folder=tmp_path)
    return path, Prepared.of(now, Engine.load(now.model))


def test_the_model_is_loaded_again_only_where_its_file_has_changed(
    served: tuple[Path, Prepared],
) -> None:
    path, now = served
    path.write_text(path.read_text() + "\nmax_batch = 2\n")
    assert prepare(path, now).engine is now.engine
    write_small(path.with_name("small.safetensors"), seed=2)
    assert prepare(path, now).engine.model.file_hash != now.engine.model.file_hash


def test_another_backend_makes_another_engine_of_the_same_file(
    served: tuple[Path, Prepared],
) -> None:
    path, now = served
    path.write_text(path.read_text().replace('"torch"', '"openvino-f32"'))
    new = prepare(path, now)
    assert (now.engine.backend.name, new.engine.backend.name) == ("torch", "openvino-f32")
    assert new.engine.model.file_hash == now.engine.model.file_hash
    assert plan(now, new).lines()[0] == "use the model small on openvino-f32"


def test_a_recording_that_was_played_and_is_gone_does_not_hinder(
    served: tuple[Path, Prepared],
) -> None:
    path, now = served
    path.with_name("clip.mp4").unlink()
    path.write_text(path.read_text() + '\n[[streams]]\nid = "cam"\nurl = "rtsp://h/1"\n')
    assert plan(now, prepare(path, now)).added == ("cam",)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[[streams]", ConfigError, "not valid TOML"),
        ('[[streams]]\nid = "x"\nurl = "gone.mp4"', ConfigError, "gone.mp4 does not exist"),
        (
            '[[streams]]\nid = "x"\nurl = "rtsp://h/1"\n[model]\npath = "./gone.safetensors"',
            ModelError,
            "no model file",
        ),
        (
            '[[streams]]\nid = "x"\nurl = "rtsp://h/1"\n[decisions.labels.nonsense]\n',
            ConfigError,
            "no label",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_touched(
    served: tuple[Path, Prepared], text: str, error: type[Exception], words: str
) -> None:
    path, now = served
    path.write_text(text)
    with pytest.raises(error, match=words):
        prepare(path, now)
