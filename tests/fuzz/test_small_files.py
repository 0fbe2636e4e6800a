"""Small files that anybody may have spoilt: cursors, keys, and the folder of authorised keys."""

from pathlib import Path

import pytest

from streamcls.client.cursor import CursorFile
from streamcls.errors import ConfigError, StreamclsError
from streamcls.events import parse_topic
from streamcls.keys import AuthorizedKeys, load_public, load_secret, new_keys
from streamcls.protocol import Position
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import memory_limit
from tests.fuzz.mutate import damaged, mutated

POSITIONS = {
    "streamcls/v1/front-door/event/": Position("run0", 3),
    "streamcls/v1/front-door/prediction/": Position("run1", 2**40),
}


def test_a_spoilt_cursor_is_refused_on_one_line_or_can_be_saved_again(
    cases: Cases, tmp_path: Path
) -> None:
    path = tmp_path / "cursor"
    sound = CursorFile(path)
    sound.save(POSITIONS, 0.0)
    sound.close()
    content = path.read_bytes()
    with memory_limit(100):
        for case in cases(300):
            chance = case.chance
            spoil = chance.choice((mutated, damaged))
            given = spoil(content, chance)
            path.write_bytes(given)
            with case.trying(given):
                try:
                    cursor = CursorFile(path)
                except StreamclsError as error:
                    told(error)
                    continue
                assert cursor.positions is not None
                for name in cursor.positions:
                    parse_topic(name)
                cursor.save(cursor.positions, 0.0)
                cursor.close()
                again = CursorFile(path)
                again.close()
                assert again.positions == cursor.positions


@pytest.mark.parametrize("kind", ["public", "secret"])
def test_a_spoilt_key_is_refused_on_one_line_that_holds_no_key(
    cases: Cases, kind: str, tmp_path: Path
) -> None:
    public, secret = new_keys(tmp_path, "daemon")
    pair = load_secret(secret)
    path = public if kind == "public" else secret
    content = path.read_bytes()
    for case in cases(1000):
        chance = case.chance
        given = chance.choice((mutated, damaged))(content, chance)
        path.write_bytes(given)
        with case.trying("a key that is made anew each time"):
            try:
                key = load_public(path) if kind == "public" else load_secret(path).public
                assert len(key) == 40
            except ConfigError as error:
                told(error, pair.secret[:8].decode())


def test_text_in_the_place_of_a_key_is_refused_without_being_quoted(cases: Cases) -> None:
    text = b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    for case in cases(1000):
        given = mutated(text, case.chance).decode("utf-8", "replace")
        with case.trying(given):
            try:
                assert len(load_public(given)) == 40
            except ConfigError as error:
                told(error, *([given] if len(given) >= 8 else []))


def test_of_a_folder_with_spoilt_keys_the_sound_ones_are_authorised(
    cases: Cases, tmp_path: Path
) -> None:
    public, _ = new_keys(tmp_path, "sound")
    sound = load_public(public)
    folder = AuthorizedKeys(tmp_path)
    for case in cases(300):
        given = mutated(public.read_bytes(), case.chance)
        (tmp_path / "other.key").write_bytes(given)
        with case.trying(given):
            assert sound in folder.current()
            assert folder.callback("streamcls", sound)
            assert not folder.callback("streamcls", given[:40])
