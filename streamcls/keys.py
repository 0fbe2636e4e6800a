"""CURVE keys: making them, reading them, and the folder of those who may connect.

The files are ZeroMQ certificates, as `zmq.auth` writes and reads them: NAME.key holds a public
key, NAME.key_secret both. No message and no log line of this module ever holds a key.
"""

import logging
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from streamcls.errors import ConfigError

log = logging.getLogger("streamcls")

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"

_Z85_KEY = rb"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}"  # 32 bytes
_LINE = rb"-key[ \t]*=[ \t]*[\"']?(" + _Z85_KEY + rb")[\"']?[ \t\r]*$"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_MAX_FILE_BYTES = 65_536  # a certificate may have metadata; one of ours has 250 bytes

_PUBLIC_FILE = """\
#   ZeroMQ CURVE public certificate, made by streamcls. It may be given to anybody.

metadata
curve
    public-key = "{public}"
"""
_SECRET_FILE = """\
#   ZeroMQ CURVE **secret** certificate, made by streamcls.
#   Give it to nobody but the one program that uses it, and leave its permissions as they are.

metadata
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""


@dataclass(frozen=True)
class KeyPair:
    """One identity; each key is 40 bytes of Z85 text."""

    public: bytes = field(repr=False)
    secret: bytes = field(repr=False)


def new_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a pair and write it to `folder`, which is created (mode 0700) where it is missing.

    Returns:
        The paths of the public file (mode 0644) and of the secret one (0600 from its first byte).

    Raises:
        ConfigError: the name has other characters than letters, digits, `.`, `_` and `-`, one of
            the files exists already, or the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a key; use 1 to 64 of A-Z, a-z, 0-9, `_`, `-` and, but for the"
            " first, `.`"
        )
    public_path, secret_path = folder / f"{name}{PUBLIC_SUFFIX}", folder / f"{name}{SECRET_SUFFIX}"
    public, secret = (key.decode() for key in zmq.curve_keypair())
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; name another one for the keys")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(public_path, 0o644, _PUBLIC_FILE.format(public=public))
        try:
            _write_new(secret_path, 0o600, _SECRET_FILE.format(public=public, secret=secret))
        except OSError:
            public_path.unlink()
            raise
    except FileExistsError as error:
        raise ConfigError(
            f"{error.filename} exists and is left as it is; use another name, or move it away"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write keys to {folder}: {error.strerror}") from None
    return public_path, secret_path


def load_secret(path: Path) -> KeyPair:
    """Read a secret key file.

    Raises:
        ConfigError: it cannot be read, others may read it, or it holds no pair of keys.
    """
    content, mode = _read(path)
    public, secret = _key_in(content, b"public"), _key_in(content, b"secret")
    if not (public and secret and _belong_together(public, secret)):
        raise ConfigError(
            f"{path} is not a secret key file; `streamcls keys new` makes one (NAME{SECRET_SUFFIX})"
        )
    # systemd hands credentials out by access lists, which show as group permissions.
    if mode & 0o077 and not path.is_relative_to(os.environ.get("CREDENTIALS_DIRECTORY", "//")):
        raise ConfigError(
            f"{path} holds a secret and others may read it (mode {mode:04o}): chmod 600 {path}"
        )
    return KeyPair(public=public, secret=secret)


def load_public(path_or_text: Path | str) -> bytes:
    """A public key, 40 bytes of Z85, from a file or from the key's own text.

    Raises:
        ConfigError: it is neither.
    """
    name = os.fspath(path_or_text)
    is_path = isinstance(path_or_text, Path) or name.endswith(PUBLIC_SUFFIX) or os.path.exists(name)
    if is_path:
        if key := _key_in(_read(Path(name))[0], b"public"):
            return key
        raise ConfigError(f"{name} is not a key file; `streamcls keys new` makes one")
    if re.fullmatch(_Z85_KEY, name.encode()):
        return name.encode()
    raise ConfigError(  # without the text: it may be a key with a slip in it
        f"a public key is the path of a NAME{PUBLIC_SUFFIX} file or the 40 characters in it;"
        f" this is no file and has {len(name)} characters"
    )


class AuthorizedKeys:
    """The clients who may connect: those whose public key file lies in a folder.

    The folder is looked at for each connection and read again when it has changed, so a file
    added or deleted counts from the next connection on. A folder that cannot be read lets
    nobody in. It is the `credentials_provider` of a `zmq.auth` authenticator.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: object = None
        self._keys: frozenset[bytes] = frozenset()
        self._unusable: set[str] = set()

    def callback(self, domain: str, key: bytes) -> bool:  # noqa: ARG002 (the caller's signature)
        """Whether a client with this public key, 40 bytes of Z85, may connect; never raises."""
        return key in self.current()

    def current(self) -> frozenset[bytes]:
        """The authorised public keys as of now."""
        try:
            with os.scandir(self._folder) as entries:
                seen = {e.name: _version(e) for e in entries if e.name.endswith(PUBLIC_SUFFIX)}
        except OSError as error:
            if self._seen != error.errno:
                log.error("nobody may connect: cannot read %s: %s", self._folder, error.strerror)
            self._seen, self._keys = error.errno, frozenset()
            return self._keys
        if seen != self._seen:
            self._keys = self._read_all(sorted(seen))
            self._seen = seen
        return self._keys

    def _read_all(self, names: list[str]) -> frozenset[bytes]:
        keys, unusable = set(), set()
        for name in names:
            try:
                keys.add(load_public(self._folder / name))
            except ConfigError as error:
                unusable.add(name)
                if name not in self._unusable:
                    log.warning("an authorised key is skipped: %s", error)
        self._unusable = unusable
        return frozenset(keys)


def keys_to_serve(secret: Path, authorized: Path) -> tuple[KeyPair, AuthorizedKeys]:
    """A daemon's own key and those of its clients.

    Raises:
        ConfigError: the key file or the folder cannot be used.
    """
    own = load_secret(secret)
    try:
        os.listdir(authorized)
    except FileNotFoundError:
        raise ConfigError(f"[keys] authorized: {authorized} does not exist; make it") from None
    except OSError as error:
        raise ConfigError(
            f"[keys] authorized: cannot read the folder {authorized}: {error.strerror}"
        ) from None
    clients = AuthorizedKeys(authorized)
    if not clients.current():
        log.warning("nobody may connect yet: there is no client's .key file in %s", authorized)
    return own, clients


def _version(entry: os.DirEntry[str]) -> tuple[int, ...] | None:
    """What changes when a file does; None for one that is just going, or a link to nothing."""
    try:
        of = entry.stat()
    except OSError:
        return None
    return of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns


def _write_new(path: Path, mode: int, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(handle, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        path.unlink()
        raise


def _read(path: Path) -> tuple[bytes, int]:
    """A key file's first bytes, and its permissions."""
    try:
        # Without O_NONBLOCK a FIFO of that name would hold us until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            of = os.fstat(handle)
            content = os.read(handle, _MAX_FILE_BYTES) if stat.S_ISREG(of.st_mode) else b""
        finally:
            os.close(handle)
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from None
    return content, stat.S_IMODE(of.st_mode)


def _key_in(content: bytes, kind: bytes) -> bytes | None:
    line = re.search(rb"(?m)^[ \t]*" + kind + _LINE, content)
    return line[1] if line else None


def _belong_together(public: bytes, secret: bytes) -> bool:
    try:
        return zmq.curve_public(secret) == public
    except zmq.ZMQError:  # Z85 of no 32 bytes
        return False
