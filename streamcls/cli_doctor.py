"""`streamcls doctor`: whether a daemon can run here, what is missing, and how to get it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamcls import __version__
from streamcls.errors import StreamclsError
from streamcls.urls import redact

if TYPE_CHECKING:
    from streamcls.config import Settings
    from streamcls.doctor import Finding, Section

_STYLES = {"ok": "green", "note": "dim", "warning": "yellow", "error": "bold red"}


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="Look at what this configuration needs, and at itself.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Say what this machine has for a daemon, what is missing, and how to get it.

    Exit code 0: a daemon can run here; 1: something essential is missing.
    """
    sections: list[Section] = []
    # In a pipe a finding is a line.
    width = None if sys.stdout.isatty() else 1000
    console = Console(highlight=False, markup=False, width=width)
    for section in _sections(config):
        sections.append(section)
        if not as_json:
            _print(section, console)
    every = [finding for section in sections for finding in section.findings]
    errors = [finding.name for finding in every if finding.level == "error"]
    if as_json:
        document = {
            "streamcls": __version__,
            "can_run": not errors,
            "sections": [asdict(section) for section in sections],
        }
        print(json.dumps(document, indent=2))
    elif errors:
        console.print(f"No daemon can run here: {', '.join(errors)}", style=_STYLES["error"])
    else:
        console.print("A daemon can run here.", style=_STYLES["ok"])
    raise typer.Exit(1 if errors else 0)


def _sections(config: Path | None) -> Iterator["Section"]:
    from streamcls.doctor import Section, examine

    settings = None
    if config:
        settings, findings = _configuration(config)
        yield Section("Configuration", findings)
    yield from examine(settings)


def _configuration(config: Path) -> tuple["Settings | None", list["Finding"]]:
    """What `streamcls check` says of a file, and its settings as far as they can be read."""
    from streamcls.config import load_settings
    from streamcls.doctor import Finding

    settings = None
    try:
        settings = load_settings(config)
        from streamcls.cli_check import validated

        ready = validated(config)
    except StreamclsError as error:
        return settings, [Finding("settings", "error", redact(str(error)))]
    except ImportError as error:
        return settings, [Finding("settings", "error", f"cannot be checked: {error}")]
    return settings, [
        Finding("settings", "ok", f"{config} is fine; streams {', '.join(ready.lanes)}"),
        Finding("backend", "ok", ready.engine.why),
    ]


def _print(section: "Section", console: Console) -> None:
    console.print(section.title, style="bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=9, no_wrap=True)
    table.add_column(min_width=17, no_wrap=True)
    table.add_column(overflow="fold")
    for finding in section.findings:
        style = _STYLES[finding.level]
        detail = Text(finding.detail, "dim" if finding.level == "note" else "")
        table.add_row(Text(f"  {finding.level}", style), finding.name, detail)
        if finding.remedy:
            table.add_row("", "", Text(finding.remedy, "cyan"))
    console.print(table)
    console.print()
