"""Errors of which some are not kept: their indexes count from 1, so what is missing shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """Errors that were counted and are not kept: their indexes, both inclusive."""

    first: int
    last: int


def gaps(indexes: Iterable[int], counted: int) -> Iterator[Gap]:
    """What is missing among errors counted up to that many, by the ascending indexes of those that are kept.

    An index may come twice, and be above what is counted: an engine that was restarted counts from 1 again, and what
    it told before is kept for a while.
    """
    expected = 1
    for index in indexes:
        if index > expected:
            yield Gap(expected, index - 1)
        expected = max(expected, index + 1)
    if counted >= expected:
        yield Gap(expected, counted)
