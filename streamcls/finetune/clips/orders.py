"""Which videos come when, for one process or for several that train together.

Every order depends on its seed and the epoch alone, and each process takes its share of one and
the same order, so all of them see every video once between them.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

_MOST_SEEDS = 2**61 - 1  # a generator takes a few more; a prime keeps great seeds apart


class Shuffled(Sampler[int]):
    """Each video once, in an order of its own in every epoch; or each by its weight.

    Every process gets as many: the first videos of the order come again where it does not divide,
    since a process with a batch less would leave the others waiting.

    Args:
        weights: how often each video comes, relative to the others; drawn with replacement.
        rank, world: this process, of so many.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int,
        weights: Sequence[float] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._count = count
        self._seed = seed
        self._weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
        self._rank = rank
        self._world = world
        self._epoch = 0

    def __len__(self) -> int:
        return math.ceil(self._count / self._world)

    def __iter__(self) -> Iterator[int]:
        seed = (self._seed * 1_000_003 + self._epoch) % _MOST_SEEDS
        chance = torch.Generator().manual_seed(seed)
        if self._weights is None:
            order = torch.randperm(self._count, generator=chance).tolist()
        else:
            draws = torch.multinomial(self._weights, self._count, True, generator=chance)
            order = draws.tolist()
        even = len(self) * self._world
        padded = (order * math.ceil(even / max(1, len(order))))[:even]
        return iter(padded[self._rank :: self._world])

    def set_epoch(self, epoch: int) -> None:
        """What the next round is; rounds of the same number are the same."""
        self._epoch = epoch


class InTurn(Sampler[int]):
    """Each in order and once between all processes, so that nothing is measured twice."""

    def __init__(self, count: int, *, rank: int = 0, world: int = 1) -> None:
        self._places = range(rank, count, world)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)
