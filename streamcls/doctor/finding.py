"""What was found, in words for a person and a level for a program."""

from dataclasses import dataclass
from typing import Literal

from streamcls.config import HttpSettings, JournalSettings, PublishSettings, Settings

Level = Literal["ok", "note", "warning", "error"]
"""`note`: something optional is not there. `warning`: a daemon runs, but less well than it might.
`error`: a daemon cannot run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        remedy: what to do about it, a command where one does; empty where there is nothing to do.
    """

    name: str
    level: Level
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Findings on one subject."""

    title: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Subject:
    """The settings of the daemon in question: its file's, or the defaults.

    Attributes:
        is_given: whether they are a file's.
    """

    publish: PublishSettings
    http: HttpSettings
    journal: JournalSettings
    is_given: bool

    @classmethod
    def of(cls, settings: Settings | None) -> "Subject":
        """Those of a configuration, or of none."""
        if settings is None:
            return cls(PublishSettings(), HttpSettings(), JournalSettings(), is_given=False)
        return cls(settings.publish, settings.http, settings.journal, is_given=True)
