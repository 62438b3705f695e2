"""A table of the collector's configuration file, whose every mistake is told by its key."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from app.domain.errors import InvalidParam

T = TypeVar("T")


class CollectorConfigError(Exception):
    """The file cannot be used; the message names the key."""


class Table:
    """A table of the document; every method raises CollectorConfigError, naming the key from the document's top."""

    def __init__(self, values: object, path: str, known: Sequence[str]) -> None:
        self._prefix = f"{path}." if path else ""
        if not isinstance(values, dict):
            raise CollectorConfigError(f"{path}: must be a table")
        self._values = values
        for key in values:
            if key not in known:
                raise self.wrong(key, f"unknown; the keys here are {', '.join(known)}")

    def wrong(self, key: str, what: str) -> CollectorConfigError:
        return CollectorConfigError(f"{self._prefix}{key}: {what}")

    def text(self, key: str) -> str | None:
        value = self._values.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.wrong(key, "must be a text that is not empty")
        return value

    def checked(self, key: str, check: Callable[[str], T]) -> T:
        """What ``check`` makes of a text that must be there; it raises ValueError or InvalidParam."""
        value = self.text(key)
        if value is None:
            raise self.wrong(key, "is missing")
        try:
            return check(value)
        except (ValueError, InvalidParam) as error:
            raise self.wrong(key, str(error)) from None

    def secret(self, key: str, environment: Mapping[str, str]) -> str | None:
        """The value of the environment variable that the key names."""
        variable = self.text(key)
        if variable is None:
            return None
        if not environment.get(variable):
            raise self.wrong(key, f"the environment variable {variable} is not set")
        return environment[variable]

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(key, f"must be a number from {least:g} to {most:g}")
        return float(value)

    def tables(self, key: str, known: Sequence[str]) -> "list[Table]":
        """The tables of an array that must hold at least one."""
        values = self._values.get(key)
        if not isinstance(values, list) or not values:
            raise self.wrong(key, "must be an array of one table or more")
        return [Table(value, f"{self._prefix}{key}[{i}]", known) for i, value in enumerate(values)]
