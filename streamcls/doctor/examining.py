"""The parts, one after the other; one that cannot be looked at does not keep the others."""

import importlib
from collections.abc import Iterator

from streamcls.config import Settings
from streamcls.doctor.finding import Finding, Section, Subject
from streamcls.urls import redact

_PARTS = ("software", "machine", "network", "video", "webcams", "places", "addresses")


def examine(settings: Settings | None = None) -> Iterator[Section]:
    """Look at everything; each section when it is done.

    Args:
        settings: of the daemon that is to run here; None: the defaults.
    """
    subject = Subject.of(settings)
    for part in _PARTS:
        yield Section(part.capitalize(), _examined(part, subject))


def _examined(part: str, subject: Subject) -> list[Finding]:
    findings: list[Finding] = []
    try:
        look = importlib.import_module(f"streamcls.doctor.{part}").look
        findings.extend(look(subject))
    except ImportError as error:  # of which `software` tells, too
        findings.append(Finding(part, "note", f"not looked at: {redact(str(error))}"))
    except Exception as error:  # whatever a library does on a machine that is not well
        text = redact(f"{type(error).__name__}: {error}")
        findings.append(Finding(part, "warning", f"could not be looked at: {text}"))
    return findings
