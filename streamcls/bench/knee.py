"""The search for the largest number of cameras that is held."""

from collections.abc import Callable, Sequence


def largest(holds: Callable[[int], bool], *, start: int, limit: int) -> int:
    """The largest number that is held, up to the limit; 0 where not even one is.

    Doubled from `start` until one is not held, then halved in between; no number is tried twice.

    Args:
        holds: whether so many are held; what more cannot be held where fewer are not.
    """
    held, lost, number = 0, limit + 1, min(start, limit)
    while held + 1 < lost:
        if holds(number):
            held = number
        else:
            lost = number
        number = min(2 * held, limit) if held and lost > limit else (held + lost) // 2
    return held


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), -int(-share * len(ordered) // 1)) - 1)]


def slope(numbers: Sequence[float], values: Sequence[float]) -> float | None:
    """How much the values grow with each one more, by least squares; None for a single number."""
    mean = sum(numbers) / len(numbers) if numbers else 0.0
    spread = sum((number - mean) ** 2 for number in numbers)
    if not spread:
        return None
    return sum((n - mean) * v for n, v in zip(numbers, values, strict=True)) / spread
