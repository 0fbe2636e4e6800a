"""What a changed configuration means for a daemon that runs: prepared, and compared."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from streamcls.config import (
    PublishSettings,
    Settings,
    StreamSettings,
    check_files,
    load_settings,
)
from streamcls.engine import Engine
from streamcls.errors import ConfigError
from streamcls.lane import LaneSettings
from streamcls.models.bundle import file_hash
from streamcls.pipeline.sources.hardware import check_accelerator

# Read once, at the start: what they name is bound, opened or held for the whole run.
_AT_START = ("publish", "journal", "keys", "http", "model.threads")
_TUNED = ("model.max_batch", "model.max_wait_ms", "capture.max_opening", "log.level", "log.format")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that can be served: valid, its model loaded, every stream's lane decided."""

    settings: Settings
    engine: Engine
    lanes: Mapping[str, LaneSettings]

    @classmethod
    def of(cls, settings: Settings, engine: Engine) -> "Prepared":
        """Decide the lanes, and see that what is to decode is there.

        Raises:
            ConfigError: as `LaneSettings.of` and `check_accelerator`.
        """
        check_accelerator(settings.capture.hwaccel)
        lanes = {one.id: LaneSettings.of(one, settings, engine) for one in settings.streams}
        return cls(settings, engine, lanes)


def prepare(config: Path, now: Prepared) -> Prepared:
    """Read a configuration file again, and load what it needs beyond what is served now.

    Raises:
        ConfigError: as `load_settings`, `check_files`, `Engine.load` and `LaneSettings.of`.
    """
    if config.exists() and not (config.is_file() or config.is_dir()):
        raise ConfigError(f"{config} is not a file; a pipe cannot be read again")
    settings = load_settings(config)
    # A recording that was played to its end may be gone by now.
    served = {(one.id, one.url) for one in now.settings.streams}
    check_files(one for one in settings.streams if (one.id, one.url) not in served)
    engine, model = now.engine, settings.model
    runs_on = [(one.device, one.backend) for one in (model, now.settings.model)]
    if runs_on[0] != runs_on[1] or file_hash(model.path) != engine.model.file_hash:
        engine = Engine.load(model, settings.least_stride_s)
    return Prepared.of(settings, engine)


@dataclass(frozen=True, slots=True)
class Plan:
    """What changes from one configuration to another. Streams in none of these go on untouched.

    Attributes:
        added, removed: ids of streams.
        restarted: ids of streams whose source is opened anew, with the keys that changed.
        reread: ids of streams that go on, with other windows, decisions or model.
        model: name of the model that takes over, and what runs it; or nothing.
        tuned: settings that are of no single stream, such as `log.level`.
        waiting: sections and settings whose change takes effect at the daemon's next start.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: Mapping[str, str] = field(default_factory=dict)
    reread: tuple[str, ...] = ()
    model: str = ""
    tuned: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The same for a person; at least one line."""
        lines = [f"use the model {self.model}"] if self.model else []
        lines += [f"add {name}" for name in self.added]
        lines += [f"remove {name}" for name in self.removed]
        lines += [f"restart {name} ({keys})" for name, keys in self.restarted.items()]
        if self.reread:
            lines.append(f"change windows, decisions or model of {', '.join(self.reread)}")
        lines += [f"set {key}" for key in self.tuned]
        lines += [f"{name} changed: takes effect at the next start" for name in self.waiting]
        return lines or ["change nothing"]


def plan(
    old: Prepared,
    new: Prepared,
    *,
    started: Settings | None = None,
    over: Container[str] = (),
) -> Plan:
    """Compare two configurations.

    Args:
        started: what the daemon was started with, where that is another one than the old.
        over: ids of streams that have come to their end: they begin again only where they name
            another source.
    """
    fixed = started or old.settings
    before = {stream.id: stream for stream in old.settings.streams}
    after = {stream.id: stream for stream in new.settings.streams}
    limits_changed = _limits(old.settings) != _limits(new.settings)
    restarted: dict[str, str] = {}
    reread: list[str] = []
    for name in before.keys() & after.keys():
        keys = _source_keys(before[name], after[name])
        keys += ["[capture]"] * (limits_changed and name not in over)
        if old.lanes[name] != new.lanes[name]:
            if after[name].isolation == "process" and name not in over:
                keys.append("windows, decisions or model")  # which its process was given
            else:
                reread.append(name)
        if keys:
            restarted[name] = ", ".join(keys)
    return Plan(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        restarted={name: restarted[name] for name in after if name in restarted},
        reread=tuple(name for name in after if name in reread and name not in restarted),
        model=_named(new.engine) if old.engine is not new.engine else "",
        tuned=tuple(
            key for key in _TUNED if _value(old.settings, key) != _value(new.settings, key)
        ),
        waiting=tuple(
            name for name in _AT_START if _fixed(fixed, name) != _fixed(new.settings, name)
        ),
    )


def _named(engine: Engine) -> str:
    return f"{engine.model.manifest.name} on {engine.backend.name}"


def _source_keys(before: StreamSettings, after: StreamSettings) -> list[str]:
    keys = ("url", "pace", "loop", "isolation")
    return [key for key in keys if getattr(before, key) != getattr(after, key)]


def _limits(settings: Settings) -> object:
    # How many open at once is no matter of any one stream.
    return msgspec.structs.replace(settings.capture, max_opening=1)


def _fixed(settings: Settings, key: str) -> object:
    found = _value(settings, key)
    # The one key there that lanes read.
    return msgspec.structs.replace(found, top_k=1) if isinstance(found, PublishSettings) else found


def _value(settings: Settings, key: str) -> object:
    """A section, or one value of it: `log`, `log.level`."""
    section, _, name = key.partition(".")
    found = getattr(settings, section)
    return getattr(found, name) if name else found
