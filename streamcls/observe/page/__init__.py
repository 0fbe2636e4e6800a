"""The live page: what streams show now, in a browser, pushed as it happens.

    publishing thread -> Live <- Feed (one a viewer) -> Site -> browser

A viewer's own thread looks at `Live` a few times a second and sends what differs from what it last
sent. So nothing is queued, a slow browser gets the newest there is when it is ready again, no stage
ever waits for one, and while nobody looks nothing is computed.
"""

from streamcls.observe.page.feed import Feed, Sight
from streamcls.observe.page.guard import Guard
from streamcls.observe.page.live import Legend, Live
from streamcls.observe.page.readings import Readings
from streamcls.observe.page.site import Site

__all__ = ["Feed", "Guard", "Legend", "Live", "Readings", "Sight", "Site"]
