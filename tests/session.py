"""Records `streamcls demo` on a terminal of its own, as an SVG that moves.

    python -m tests.session --out docs/pictures/demo.svg

What the program draws is kept picture by picture, as it comes; some of them, at even distances, and
what it prints at the end take turns in the SVG. It refers to nothing outside of itself.
"""

import argparse
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.ansi import AnsiDecoder
from rich.console import Console

WIDTH, HEIGHT = 96, 16
SHOTS = 9
SHOT_S, LAST_S = 1.6, 6.0  # how long each shows, and what is printed at the end

_HOME = b"\x1b[H"
_SCREEN = re.compile(rb"\x1b\[\?1049h(.*?)\x1b\[\?1049l", re.DOTALL)
_CONTROL = re.compile(r"\x1b\[\?\d+[hl]")

_SHOT = """
<style>{styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<g class="shot" id="{unique_id}" transform="translate({terminal_x}, {terminal_y})"
 clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
"""
_FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>text {{ font: {char_height}px ui-monospace, Menlo, Consolas, monospace; white-space: pre }}
/* rules */
</style>
{chrome}
<!-- shots -->
</svg>
"""


@dataclass
class Recording:
    """All that a program wrote, with the time of each piece."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    @property
    def written(self) -> bytes:
        """Everything, without times."""
        return b"".join(piece for _, piece in self.pieces)


def record(command: list[str]) -> Recording:
    """Run on a terminal, to the end.

    Raises:
        subprocess.CalledProcessError: it did not end well.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    recording = Recording()
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # how a terminal says that nobody has it open any more
            break
        recording.pieces.append((time.monotonic(), piece))
    os.close(ours)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command, recording.written)
    return recording


def pictures(recording: Recording) -> list[str]:
    """Some of the screen's pictures, and what was printed after the last of them."""
    written = recording.written
    screen = _SCREEN.search(written)
    if not screen:
        raise SystemExit("it drew no screen")
    drawn = [picture for picture in screen[1].split(_HOME)[1:] if picture.strip()]
    chosen = [drawn[(2 * index + 1) * len(drawn) // (2 * SHOTS)] for index in range(SHOTS)]
    after = written[screen.end() :]
    return [_CONTROL.sub("", shot.decode()).replace("\r", "") for shot in [*chosen, after]]


def svg(shots: list[str], title: str) -> str:
    """The pictures as one SVG, in turns; where nothing may move it shows the last."""
    whole_s = SHOT_S * (len(shots) - 1) + LAST_S
    drawn, frame, rules = [], "", [".shot { opacity: 0 } .shot:last-of-type { opacity: 1 }"]
    for index, shot in enumerate(shots):
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO())
        lines = list(AnsiDecoder().decode(shot))
        for line in (lines + [""] * HEIGHT)[:HEIGHT]:
            console.print(line, soft_wrap=True)
        name = f"shot{index}"
        frame = console.export_svg(title=title, clear=False, code_format=_FRAME, unique_id="frame")
        drawn.append(console.export_svg(clear=False, code_format=_SHOT, unique_id=name))
        begin, end = (100 * SHOT_S * number / whole_s for number in (index, index + 1))
        end = 100.0 if shot is shots[-1] else end
        rules += [
            f"@keyframes {name} {{ 0% {{ opacity: {int(not index)} }}"
            f" {begin:.2f}% {{ opacity: 1 }} {end:.2f}%, 100% {{ opacity: {int(end == 100)} }} }}",
            "@media (prefers-reduced-motion: no-preference)"
            f" {{ #{name} {{ animation: {name} {whole_s:g}s step-end infinite }} }}",
        ]
    return frame.replace("/* rules */", "\n".join(rules)).replace("<!-- shots -->", "".join(drawn))


def main() -> None:
    """Record and write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("docs/pictures/demo.svg"))
    out = arguments.parse_args().out
    recording = record([sys.executable, "-m", "streamcls", "demo"])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(svg(pictures(recording), "make demo"))
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
