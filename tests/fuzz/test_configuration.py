"""Any text as a configuration: settings or one line that names what is wrong, and no password."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcls.config import Settings, load_settings, parse_settings
from streamcls.config.kinds import Section
from streamcls.errors import ConfigError
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import memory_limit
from tests.fuzz.mutate import mutated

SAMPLE = Path(__file__).parents[2] / "configs" / "streamcls.toml"
STREAM = '[[streams]]\nid = "cam"\nurl = "clip.mp4"\n'
PASSWORD = "qvzxkwjy"  # letters that no message of ours has in this order
URL = f"rtsp://operator:{PASSWORD}@192.0.2.10:554/stream1?token={PASSWORD}"
EVERY_SETTING = (
    SAMPLE.read_text(encoding="utf-8")
    .replace("rtsp://user:password@192.0.2.10:554/stream1", URL)
    .replace("# on_threshold", "on_threshold")
    .replace("# [decisions", "[decisions")
    .replace("# cooldown_s", "cooldown_s")
    .replace("# update_s", "update_s")
)

WRONG = [
    *('""', '"x"', '"\\u0000"', '"\\n"', '"${HOME}"', '"${credential:../x}"', "'~\\x00'"),
    *("0", "-1", "1", "1e400", "-1e400", "1e-320", "nan", "-nan", "inf", "-inf", "0x7fffffffffff"),
    *("9" * 18, "9" * 19, "9" * 400, "9" * 5000, "-" + "9" * 19, "1_0.5e+1_0"),
    *("true", "false", "[]", "[1]", '["x"]', "[[]]", "[{}]", "{}", "{a = 1}", "{x = {y = [1]}}"),
    *("1979-05-27T07:32:00Z", "1979-05-27", "07:32:00", "9999-12-31T23:59:59.999999-12:00"),
    *("[" * 200 + "]" * 200, "[" * 5000 + "]" * 5000, "{a = " * 3000 + "1" + "}" * 3000),
    *('"' + "x" * 100_000 + '"', '"rtsp://"', '"rtsp://[::1"', '"webcam:"', '"tcp://:1"'),
    *('"ipc://"', '"ipc://\\u0000"', '"file:///"', '"~"', '"~\\u0000"', '"tcp://[%a]:1"'),
]


def read(text: str) -> Settings | None:
    """What comes of a text: settings, or a refusal that is one line and betrays nothing."""
    try:
        return parse_settings(text)
    except ConfigError as error:
        told(error, PASSWORD)
        return None


def keys_of(section: type[msgspec.Struct], above: str = "") -> Iterator[str]:
    """Every key of every table, dotted; tables themselves, too."""
    for field in msgspec.structs.fields(section):
        yield f"{above}{field.name}"
        of = next((one for one in (field.type, *get_args(field.type)) if _is_table(one)), None)
        if of and field.name == "labels":
            yield from keys_of(of, f"{above}labels.pan_left.")
        elif of and field.name != "streams":
            yield from keys_of(of, f"{above}{field.name}.")
        elif of:
            yield from keys_of(of, "streams.0.")


def _is_table(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, Section)


def with_value(key: str, value: str) -> str:
    """The smallest configuration with one key set."""
    *above, last = key.split(".")
    if above[:2] == ["streams", "0"]:
        kept = "".join(
            line for line in STREAM.splitlines(True) if not line.startswith((f"{last} ", "[["))
        )
        dotted = ".".join([*above[2:], last])
        return f"[[streams]]\n{kept if not above[2:] else STREAM[12:]}{dotted} = {value}\n"
    if key == "streams":
        return f"streams = {value}\n"
    return f"{'.'.join([*above, last])} = {value}\n{STREAM}"


KEYS = sorted(set(keys_of(Settings)))


@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_any_wrong_kind_is_refused_by_its_key_or_taken(key: str) -> None:
    for value in WRONG:
        text = with_value(key, value)
        try:
            read(text)
        except Exception as error:
            error.add_note(f"given: {text[:300]}")
            raise


def test_the_keys_tried_are_all_there_are() -> None:
    assert {"capture.max_pixels", "streams.0.isolation", "log.format"} <= set(KEYS)
    assert "streams.0.decisions.labels.pan_left.cooldown_s" in KEYS
    assert all(read(with_value(key, "true")) is None or _is_bool(key) for key in KEYS)


def _is_bool(key: str) -> bool:
    value: Any = msgspec.to_builtins(parse_settings(STREAM))
    for name in key.split("."):
        value = value[int(name)] if name.isdigit() else value[name]
    return isinstance(value, bool)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case float():
            return str(value) if math.isfinite(value) else f"{value}"
        case bool() | str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(k)} = {toml(v)}' for k, v in value.items())}}}"
    return str(value)


def test_settings_of_any_shape_are_taken_or_refused(cases: Cases) -> None:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    known = st.sampled_from(["rtsp://", "webcam:", "tcp://", "ipc://", "~", "${A}"])
    scalars |= st.builds("{}{}".format, known, st.text(max_size=20))
    shapes = st.recursive(
        scalars.filter(lambda value: value is not None),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )

    @settings(
        max_examples=len(list(cases(300))),
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(st.sampled_from(KEYS), shapes), min_size=1, max_size=3))
    def read_any(chosen: list[tuple[str, Any]]) -> None:
        text = "".join(with_value(key, toml(value)).replace(STREAM, "") for key, value in chosen)
        read(text + STREAM if "[[streams]]" not in text else text)
        read(with_value(chosen[0][0], toml(chosen[0][1])))

    read_any()


def test_mutated_text_is_taken_or_refused(cases: Cases) -> None:
    whole = EVERY_SETTING.encode()
    assert read(EVERY_SETTING) is not None
    pieces = [line.encode() + b"\n" for line in EVERY_SETTING.splitlines() if line]
    with memory_limit(200):
        for case in cases(1500):
            given_bytes = mutated(whole, case.chance, others=[*pieces, STREAM.encode()])
            with case.trying(given_bytes):
                read(given_bytes.decode("utf-8", "replace"))


@pytest.mark.parametrize("url", ["${CAMERA}", "rtsp://operator:${CAMERA}@192.0.2.10/live"])
def test_a_secret_of_any_bytes_is_taken_or_refused(
    cases: Cases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = STREAM.replace("clip.mp4", url)
    for case in cases(300):
        secret = mutated(URL.encode(), case.chance).replace(b"\0", b"")
        monkeypatch.setitem(os.environb, b"CAMERA", secret)
        with case.trying(secret):
            read(text)


def test_a_file_of_any_bytes_is_taken_or_refused_by_its_name(cases: Cases, tmp_path: Path) -> None:
    path = tmp_path / "streamcls.toml"
    with memory_limit(200):
        for case in cases(300):
            content = mutated(EVERY_SETTING.encode(), case.chance)
            path.write_bytes(content)
            with case.trying(content):
                refusal = _refusal(path)
                assert not refusal or refusal.startswith(str(path))


def _refusal(path: Path) -> str:
    try:
        load_settings(path)
    except ConfigError as error:
        return told(error, PASSWORD)
    return ""
