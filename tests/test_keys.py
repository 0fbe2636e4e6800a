"""Key files: who may read them, what is accepted as one, and the folder of the authorised."""

import logging
import os
import stat
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from zmq.auth import create_certificates, load_certificate

from streamcls import cli_keys
from streamcls.errors import ConfigError
from streamcls.keys import AuthorizedKeys, load_public, load_secret, new_keys


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_keys_are_a_pair_that_zeromq_reads_too(tmp_path: Path) -> None:
    public, secret = new_keys(tmp_path, "front-desk")
    assert (public.name, secret.name) == ("front-desk.key", "front-desk.key_secret")
    pair = load_secret(secret)
    assert zmq.curve_public(pair.secret) == pair.public == load_public(public)
    assert load_certificate(public) == (pair.public, None)
    assert load_certificate(secret) == (pair.public, pair.secret)


def test_pairs_that_zeromq_wrote_are_read(tmp_path: Path) -> None:
    public, secret = map(Path, create_certificates(tmp_path, "theirs"))
    secret.chmod(0o600)
    pair = load_secret(secret)
    assert (pair.public, pair.secret) == load_certificate(secret)
    assert load_public(public) == pair.public


def test_only_the_owner_can_read_a_secret_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: dict[str, int] = {}
    real_open = os.open

    def noting_open(path: str | Path, flags: int, mode: int = 0o777) -> int:
        handle = real_open(path, flags, mode)
        created[Path(path).suffix] = stat.S_IMODE(os.fstat(handle).st_mode)
        return handle

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", noting_open)
        public, secret = new_keys(tmp_path / "keys", "cam")
    finally:
        os.umask(before)
    assert created[".key_secret"] == mode_of(secret) == 0o600
    assert mode_of(public) == 0o644
    assert mode_of(tmp_path / "keys") == 0o700


@pytest.mark.parametrize("existing", ["cam.key", "cam.key_secret"])
def test_a_file_that_exists_is_never_overwritten_and_no_half_pair_is_left(
    tmp_path: Path, existing: str
) -> None:
    (tmp_path / existing).write_text("precious")
    with pytest.raises(ConfigError, match=f"{existing} exists"):
        new_keys(tmp_path, "cam")
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "precious"


@pytest.mark.parametrize("name", ["", "a/b", "../up", "a b", "naïve", "a\n", "x" * 65])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a key"):
        new_keys(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"cannot write keys to {tmp_path}/file/keys"):
        new_keys(tmp_path / "file" / "keys", "cam")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    _, secret = new_keys(tmp_path, "cam")
    secret.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {secret}"):
        load_secret(secret)


def test_half_a_pair_and_a_wrong_pair_are_refused(tmp_path: Path) -> None:
    public, secret = new_keys(tmp_path, "cam")
    other = load_secret(new_keys(tmp_path, "other")[1])
    mixed = tmp_path / "mixed.key_secret"
    mixed.write_bytes(secret.read_bytes().replace(load_public(public), other.public))
    public.chmod(0o600)
    mixed.chmod(0o600)
    for path in (public, mixed):
        with pytest.raises(ConfigError, match="not a secret key file"):
            load_secret(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for load in (load_secret, load_public):
        with pytest.raises(ConfigError, match=f"{tmp_path}/gone: No such file"):
            load(tmp_path / "gone")


def test_a_public_key_may_be_given_as_its_text(tmp_path: Path) -> None:
    public, _ = new_keys(tmp_path, "cam")
    key = load_public(str(public))
    assert load_public(key.decode()) == key


@given(st.binary(max_size=300))
def test_no_content_of_a_file_is_taken_for_a_key_by_accident(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "junk.key"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a key file"):
        load_public(path)


def test_no_message_repeats_a_key_however_it_is_given(tmp_path: Path) -> None:
    _, path = new_keys(tmp_path, "cam")
    pair = load_secret(path)
    secret = pair.secret.decode()
    messages = [repr(pair), str(pair)]
    for text in (secret[:-1], secret + "x", f" {secret}"):
        with pytest.raises(ConfigError) as raised:
            load_public(text)
        messages.append(str(raised.value))
    path.write_text(f'secret-key = "{secret}"\n')
    with pytest.raises(ConfigError) as raised:
        load_secret(path)
    messages.append(str(raised.value))
    assert not [message for message in messages if secret[:39] in message]


def test_keys_count_as_soon_as_their_file_is_there_and_no_longer(tmp_path: Path) -> None:
    authorized = AuthorizedKeys(tmp_path)
    assert authorized.current() == frozenset()
    for name in ("one", "two"):
        new_keys(tmp_path, name)
    one, two = (load_public(tmp_path / f"{name}.key") for name in ("one", "two"))
    assert authorized.callback("streamcls", one)
    assert authorized.current() == {one, two}
    os.replace(tmp_path / "two.key", tmp_path / "one.key")
    assert authorized.current() == {two}
    (tmp_path / "one.key").unlink()
    assert not authorized.callback("streamcls", two)


def test_an_unchanged_folder_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_keys(tmp_path, "cam")
    authorized = AuthorizedKeys(tmp_path)
    keys = authorized.current()
    assert len(keys) == 1
    monkeypatch.setattr("streamcls.keys.load_public", lambda path: b"")
    assert authorized.current() is keys


def test_a_folder_that_vanishes_lets_nobody_in_and_one_that_comes_back_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "clients"
    new_keys(folder, "cam")
    authorized = AuthorizedKeys(folder)
    keys = authorized.current()
    assert keys
    folder.rename(tmp_path / "away")
    assert [authorized.current() for _ in range(3)] == [frozenset()] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"nobody may connect: cannot read {folder}: No such file or directory"
    ]
    (tmp_path / "away").rename(folder)
    assert authorized.current() == keys


def test_what_is_no_key_is_named_once_and_keeps_nobody_else_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    public, _ = new_keys(tmp_path, "good")
    (tmp_path / "bad.key").write_text("no key")
    (tmp_path / "folder.key").mkdir()
    (tmp_path / "link.key").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.key")
    authorized = AuthorizedKeys(tmp_path)
    assert authorized.current() == {load_public(public)}
    new_keys(tmp_path, "second")
    assert len(authorized.current()) == 2
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    for name in ("bad", "folder", "link", "pipe"):
        assert sum(f"/{name}.key" in line for line in lines) == 1


def test_the_command_writes_a_pair_and_says_what_each_file_is_for(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli_keys.app, ["new", "cam", "--folder", str(tmp_path)])
    assert done.exit_code == 0, done.output
    pair = load_secret(tmp_path / "cam.key_secret")
    lines = done.output.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{tmp_path}/cam.key: ")
    assert lines[1].startswith(f"{tmp_path}/cam.key_secret: ")
    assert pair.public.decode() not in done.output
    assert pair.secret.decode() not in done.output
