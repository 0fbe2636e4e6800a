"""Decoding in a process of its own: its crash costs one stream a reconnect, and nothing else.

    child:  source.frames -> WindowAssembler.step --.     whole windows only, as small RGB clips,
    parent: IsolatedSource.frames -> Step  <--------'     through shared memory

The child runs the same source and the same windows as a capture thread would; no full frame
crosses the border, and nothing is pickled.
"""

from streamcls.isolation.source import IsolatedSource
from streamcls.isolation.wire import Cut

__all__ = ["Cut", "IsolatedSource"]
