"""How the streams share the screen."""

from dataclasses import dataclass

_BLOCK_WIDTH = 78  # below this an open event's line is cut short


@dataclass(frozen=True, slots=True)
class Layout:
    """Blocks in columns, filled from the top down."""

    columns: int
    bars: int
    """Lines under each stream's own; 0: a stream has one line with all that matters."""
    streams: int
    """How many have room."""
    spaced: bool
    """Whether there is an empty line between blocks."""


def arrange(streams: int, *, bars: int, width: int, height: int) -> Layout:
    """The most bars for each stream, up to `bars`, in as few columns as give them.

    Where there is no room for two bars each, a line each; where there is none for that either,
    as many as fit, less one line to say so.
    """
    most_columns = max(1, min(streams, width // _BLOCK_WIDTH))
    roomy = [
        (min(bars, height // _rows(streams, columns) - 1), -columns)
        for columns in range(1, most_columns + 1)
    ]
    most_bars, fewest = max(roomy)
    if most_bars >= max(1, min(2, bars)):
        rows = _rows(streams, -fewest)
        spaced = rows * (most_bars + 2) - 1 <= height
        return Layout(-fewest, most_bars, streams, spaced)
    for columns in range(1, most_columns + 1):
        if streams <= columns * height:
            return Layout(columns, 0, streams, spaced=False)
    return Layout(most_columns, 0, most_columns * (height - 1), spaced=False)


def _rows(streams: int, columns: int) -> int:
    return max(1, -(-streams // columns))
