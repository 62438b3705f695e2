"""The table that is printed: one line a comparison."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ours against one alternative; the bar is on the ratio, at least, or at most where more is worse."""

    name: str
    unit: str
    ours: float
    peer_name: str
    peer: float
    bar: float | None = None
    at_most: bool = False
    ours_cpu: float | None = None  # microseconds a request, server and database together
    peer_cpu: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.ratio <= self.bar if self.at_most else self.ratio >= self.bar

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"ratio": self.ratio, "met": self.met}


HEADINGS = ("what", "unit", "ours", "against", "", "ratio", "bar", "met", "CPU µs, ours", "theirs")
_NUMBERS = (2, 4, 5, 6, 8, 9)  # columns aligned to the right


def lines(comparisons: Sequence[Comparison]) -> list[str]:
    """The table as text, which is also Markdown."""
    cells = [HEADINGS, *map(_cells, comparisons)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    rule = ["-" * (width - 1) + ":" if column in _NUMBERS else "-" * width for column, width in enumerate(widths)]
    return [_line(row, widths) for row in (HEADINGS, tuple(rule), *cells[1:])]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _cells(comparison: Comparison) -> tuple[str, ...]:
    bar = "" if comparison.bar is None else f"{'≤' if comparison.at_most else '≥'} {comparison.bar:g}"
    met = {None: "", True: "yes", False: "NO"}[comparison.met]
    return (
        comparison.name,
        comparison.unit,
        _number(comparison.ours),
        comparison.peer_name,
        _number(comparison.peer),
        f"{comparison.ratio:.3f}" if comparison.at_most else f"{comparison.ratio:.2f}",
        bar,
        met,
        _number(comparison.ours_cpu),
        _number(comparison.peer_cpu),
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
