"""Plays every schedule of a pair, and holds each against the two serial ones."""

from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.domain.errors import ServiceUnavailable, TidemarkError
from app.domain.token import TokenId
from app.services.check import Checked
from app.services.report import Addressed, Recorded, record
from app.store.engine import transact
from tests.robustness.schedules.pairs import Pair
from tests.robustness.schedules.promises import NotSerial
from tests.robustness.schedules.scene import Scene
from tests.robustness.schedules.stepping import Played, Stage, schedules
from tests.robustness.schedules.works import measured


class Deadlocked(AssertionError):
    """The two waited for each other."""


class Unexpected(AssertionError):
    """A side failed as it must not."""


class Explorer:
    """Plays every schedule of a pair."""

    def __init__(self, engine: sa.Engine, monitor: sa.Connection) -> None:
        self.engine, self.stage = engine, Stage(monitor)

    def explore(self, name: str, pair: Pair) -> int:
        """How many schedules were played. Raises Deadlocked, Unexpected, NotSerial, or what the pair's promise does."""
        wanted = [each for each in schedules(*pair.steps) if each < "B" or not pair.mirrored]
        every = ["A" * 30 + "B" * 30, "B" * 30 + "A" * 30, *wanted]
        scenes = self._scenes(name, pair, len(every))
        serial, taken = {}, (0, 0)
        for order, schedule in zip("AB", every[:2], strict=False):
            played, serial[order] = self._play(pair, scenes.pop(), schedule)
            taken = max(taken[0], played.steps("A")), max(taken[1], played.steps("B"))
        assert taken == pair.steps, f"{name}: {taken} steps"
        for schedule, scene in zip(every[2:], scenes, strict=True):
            played, result = self._play(pair, scene, schedule)
            if result not in ([serial[played.first]] if played.first else serial.values()):
                raise NotSerial(name, played, result, serial)
        return len(scenes)

    def _play(self, pair: Pair, scene: Scene, schedule: str) -> tuple[Played, Any]:
        pair.given(scene)
        played = self.stage.play((lambda: pair.a(scene), lambda: pair.b(scene)), schedule)
        if played.deadlocks:
            raise Deadlocked(played)
        result = [_plain(outcome) for outcome in played.outcomes], scene.rows()
        pair.holds(scene, played)
        return played, result

    def _scenes(self, name: str, pair: Pair, count: int) -> list[Scene]:
        pipeline = name.replace(" ", "-").replace(",", "")
        if not pair.shared:
            return [Scene(self.engine, f"{pipeline}-{number}"[-63:], number) for number in range(count)]
        scenes = [Scene(self.engine, pipeline[:63], number) for number in range(count)]
        report = measured(0, 0, received=10, completed=10, recording=pair.recording)
        places = [(scene.number, known) for scene in scenes for known in (pair.known or "z")]
        for start in range(0, len(places), 100):
            items = [Addressed(scenes[number].address(known), report) for number, known in places[start : start + 100]]
            work = partial(record, items=items, keep_every=timedelta(0))
            assert all(isinstance(outcome, Recorded) for outcome in transact(self.engine, work))
        return scenes


def _plain(outcome: Any) -> Any:
    """What is the same in every schedule that has the same effect."""
    if isinstance(outcome, list):
        return [_plain(each) for each in outcome]
    if isinstance(outcome, TokenId):
        return "a token"
    if isinstance(outcome, TidemarkError) and not isinstance(outcome, ServiceUnavailable):
        details = dict(outcome.details or {})
        return outcome.code, details.get("current_version"), details.get("epoch")
    if not isinstance(outcome, Recorded | Checked | bool | None):
        raise Unexpected(repr(outcome)) from (outcome if isinstance(outcome, BaseException) else None)
    return outcome
