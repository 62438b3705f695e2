"""Positions: how far a stream has got (design §1)."""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_OFFSET = 2**63 - 1
MAX_COMPONENTS = 2048
"""Of one position: half of a frontier's room, so that its oldest and its newest checkpoint always fit."""
MAX_COMPONENT_NAME = 255

SCALAR = ""
"""The component name of a stream that has just one, written as a plain integer in JSON."""


@dataclass(frozen=True, slots=True)
class Position:
    """An exclusive "next" offset, 0 … 2^63-1, for each component of a stream.

    Positions are partially ordered, so they are compared by the named methods below and never with ``<``:
    ``sorted()`` over positions fails loudly instead of inventing an order.
    """

    offsets: Mapping[str, int]

    @classmethod
    def parse(cls, value: object) -> "Position":
        """The position of a JSON value: an integer, or an object of component → integer.

        Raises ValueError, with a message for the reporter, for anything else.
        """
        if isinstance(value, dict):
            _check_components(value)
            return cls({name: _offset(offset, f"component '{name}': ") for name, offset in value.items()})
        return cls({SCALAR: _offset(value, "")})

    def to_json(self) -> int | dict[str, int]:
        """The JSON value that `parse` reads: an integer for the scalar position, else an object."""
        if self.offsets.keys() == {SCALAR}:
            return self.offsets[SCALAR]
        return dict(self.offsets)

    def is_comparable_with(self, other: "Position | None") -> bool:
        """Whether both are scalar or neither is; what is not known, or names no component yet, is either."""
        if other is None or not other.offsets:
            return True
        return (SCALAR in self.offsets) == (SCALAR in other.offsets)

    def reaches(self, other: "Position") -> bool:
        """Whether everything before ``other`` is before this position too (design §2, Advancing).

        A component of ``other`` that is missing here is not reached, unless nothing has come in on it (offset 0).
        """
        mine = self.offsets
        return all(mine.get(name, -1) >= offset for name, offset in other.offsets.items() if offset > 0)

    def regression_from(self, earlier: "Position") -> tuple[str, int, int | None] | None:
        """The first component that is lower here than in ``earlier``, or missing here; None when there is none.

        Answers (component, offset in ``earlier``, offset here or None).
        """
        for name, before in earlier.offsets.items():
            now = self.offsets.get(name)
            if now is None or now < before:
                return name, before, now
        return None

    def exceeds(self, other: "Position") -> bool:
        """Whether some component is further here than in ``other``, where a missing one counts as 0.

        Of two positions, each may exceed the other.
        """
        return any(other.offsets.get(name, 0) < offset for name, offset in self.offsets.items())

    def records_until(self, later: "Position") -> int | None:
        """How many records lie between this position and ``later``, never negative.

        None (unknown) when a component that ``later`` has input on is missing here: a missing offset is not zero.
        """
        total = 0
        for name, offset in later.offsets.items():
            mine = self.offsets.get(name, 0 if offset == 0 else None)
            if mine is None:
                return None
            total += max(0, offset - mine)
        return total


def _check_components(value: dict[object, object]) -> None:
    if len(value) > MAX_COMPONENTS:
        raise ValueError(f"has {len(value)} components; at most {MAX_COMPONENTS} are allowed")
    for name in value:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_COMPONENT_NAME or not name.isprintable():
            raise ValueError(f"component names must be 1 to {MAX_COMPONENT_NAME} printable characters")


def _offset(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}must be an integer offset, or an object of component to integer offset")
    if not 0 <= value <= MAX_OFFSET:
        raise ValueError(f"{where}must be an offset from 0 to {MAX_OFFSET}")
    return value
