"""Typed settings, read from one TOML file. Every error names the key and what it may be."""

from streamcls.config.decisions import decisions_in_force
from streamcls.config.http import HttpSettings
from streamcls.config.loading import (
    check_files,
    journal_path,
    load_settings,
    parse_settings,
)
from streamcls.config.sections import (
    BackendName,
    CaptureSettings,
    DecisionSettings,
    JournalSettings,
    KeySettings,
    LabelDecisionSettings,
    LogSettings,
    ModelSettings,
    Pace,
    PublishSettings,
    Settings,
    StreamSettings,
    WindowSettings,
)

__all__ = [
    "BackendName",
    "CaptureSettings",
    "DecisionSettings",
    "HttpSettings",
    "JournalSettings",
    "KeySettings",
    "LabelDecisionSettings",
    "LogSettings",
    "ModelSettings",
    "Pace",
    "PublishSettings",
    "Settings",
    "StreamSettings",
    "WindowSettings",
    "check_files",
    "decisions_in_force",
    "journal_path",
    "load_settings",
    "parse_settings",
]
