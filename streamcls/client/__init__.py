"""What a consumer process imports. Needs neither torch nor av.

    with Subscriber("tcp://127.0.0.1:5599", kinds=["event"], cursor="door.cursor") as items:
        for item in items:
            if isinstance(item, Gap):
                print("missed", item.count, "of", item.stream)
            elif not isinstance(item, Silence):
                print(item.subject, item.data.transition, item.data.label)

`item.id` is the same whenever a message comes again, as after a crash; use it to see that it did.
With asyncio: `async with AsyncSubscriber(...) as items: async for item in items`.
"""

from streamcls.client.aio import AsyncSubscriber
from streamcls.client.items import Gap, Item, Silence
from streamcls.client.subscriber import Subscriber

__all__ = ["AsyncSubscriber", "Gap", "Item", "Silence", "Subscriber"]
