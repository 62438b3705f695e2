"""Families of metrics, and how they are written in Prometheus' text format (0.0.4).

Written out here and not by prometheus-client, which takes ten times as long for what may be some 400,000 samples.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, type and meaning, and what samples it has of a row."""

    name: str
    kind: str  # counter, gauge or histogram
    help: str
    samples: Callable[[Any, str], Iterable[str]]  # of a row and its labels, as lines without their end


def one(name: str, kind: str, help_text: str, read: Callable[[Any], Any]) -> Family:
    """A metric with one sample, or none where ``read`` gives None: it is not known."""

    def samples(row: Any, labels: str) -> Iterable[str]:
        value = read(row)
        return (
            () if value is None else (f"{name}{{{labels}}} {int(value) if value is True or value is False else value}",)
        )

    return Family(name, kind, help_text, samples)


def state(name: str, label: str, help_text: str, states: Sequence[str], read: Callable[[Any], str]) -> Family:
    """A metric with a sample for each state: 1 for that which holds, 0 for the others."""

    def samples(row: Any, labels: str) -> Iterable[str]:
        current = read(row)
        return [f'{name}{{{labels},{label}="{each}"}} {int(each == current)}' for each in states]

    return Family(name, "gauge", help_text, samples)


def histogram(
    name: str, help_text: str, bounds: Sequence[float], read: Callable[[Any], tuple[Any, Any, Any]]
) -> Family:
    """A histogram; ``read`` gives how many are within each bound, how many there are, and their sum."""
    written = [f"{bound:g}" for bound in bounds]

    def samples(row: Any, labels: str) -> Iterable[str]:
        within, count, total = read(row)
        buckets = [f'{name}_bucket{{{labels},le="{le}"}} {n}' for le, n in zip(written, within, strict=True)]
        buckets.append(f'{name}_bucket{{{labels},le="+Inf"}} {count}')
        return [*buckets, f"{name}_sum{{{labels}}} {total}", f"{name}_count{{{labels}}} {count}"]

    return Family(name, "histogram", help_text, samples)


def label(name: str, value: str) -> str:
    """A label, its value escaped."""
    return f'{name}="{value.translate(_ESCAPED)}"'


def lines(families: Iterable[Family], labelled: Sequence[tuple[Any, str]]) -> Iterator[str]:
    """The text of each family that has samples of the rows, which come with their labels.

    Others get their turn between any two.
    """
    for family in families:
        time.sleep(0)
        samples = [line for row, labels in labelled for line in family.samples(row, labels)]
        if samples:
            yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
            yield "\n".join(samples) + "\n"
