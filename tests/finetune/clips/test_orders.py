"""Processes that train together share one order of videos, and measure each once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamcls.finetune.clips.orders import InTurn, Shuffled

COUNTS = st.integers(1, 60)
WORLDS = st.integers(1, 5)


@given(COUNTS, WORLDS, st.integers(0, 3), st.integers(0, 3))
def test_between_all_processes_every_video_comes_and_as_many_to_each(
    count: int, world: int, seed: int, epoch: int
) -> None:
    orders = [Shuffled(count, seed=seed, rank=rank, world=world) for rank in range(world)]
    for order in orders:
        order.set_epoch(epoch)
    shares = [list(order) for order in orders]
    assert {len(share) for share in shares} == {len(orders[0])}
    seen = Counter(index for share in shares for index in share)
    assert set(seen) == set(range(count))
    assert sum(seen.values()) < count + world


@given(COUNTS, WORLDS)
def test_validation_measures_each_clip_once(count: int, world: int) -> None:
    shares = [list(InTurn(count, rank=rank, world=world)) for rank in range(world)]
    assert sorted(index for share in shares for index in share) == list(range(count))
    assert [len(InTurn(count, rank=rank, world=world)) for rank in range(world)] == [
        len(share) for share in shares
    ]


def test_every_epoch_has_an_order_of_its_own_and_always_the_same() -> None:
    order = Shuffled(50, seed=1)
    rounds = []
    for epoch in (0, 1, 0):
        order.set_epoch(epoch)
        rounds.append(list(order))
    assert rounds[0] == rounds[2] != rounds[1]
    assert rounds[0] != sorted(rounds[0])


def test_any_whole_number_is_a_seed() -> None:
    orders = [list(Shuffled(50, seed=seed)) for seed in (2**62, -(2**62), 2**62 + 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_heavier_videos_come_more_often() -> None:
    order = Shuffled(2, seed=0, weights=[1, 9])
    seen: Counter[int] = Counter()
    for epoch in range(500):
        order.set_epoch(epoch)
        seen.update(order)
    assert 0.85 < seen[1] / 1000 < 0.95
