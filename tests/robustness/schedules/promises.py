"""What must hold after a schedule, beside that some serial order gives the same."""

from typing import Any

import sqlalchemy as sa

from app.domain.errors import PreconditionFailed
from app.domain.token import TokenId
from app.services.check import Checked
from app.services.report import Recorded
from tests.domain.history import Early, Stuck
from tests.robustness.schedules.scene import Scene
from tests.robustness.schedules.stepping import Played
from tests.robustness.schedules.works import measured, reporting


class NotSerial(AssertionError):
    """No order of the two, one after the other, gives this."""


class TokenWaited(AssertionError):
    """An issue or a check waited for a report or a removal."""


def one_wins(scene: Scene, played: Played) -> None:
    """Of reports of which each names the version before, one is the next, and the other is told of it."""
    for outcomes in zip(*map(_listed, played.outcomes), strict=True):
        won = [outcome.version for outcome in outcomes if isinstance(outcome, Recorded)]
        told = [outcome.current_version for outcome in outcomes if isinstance(outcome, PreconditionFailed)]
        if len(won) != 1 or won != told:
            raise NotSerial(played)


def both_count(scene: Scene, played: Played) -> None:
    """Of reports that name no version, each is one of its own."""
    for outcomes in zip(*map(_listed, played.outcomes), strict=True):
        first, second = sorted(outcome.version for outcome in outcomes)
        if second != first + 1:
            raise NotSerial(played)


def token_waits_for_two_more(scene: Scene, played: Played) -> None:
    """The report that it met was measured before it was asked for, when more had come in already."""
    _not_waited(played)
    if _binding(scene) != _newest_at_issue(played) + 2:
        raise Early(played)
    for version, completed, expected in ((2, 20, "inprogress"), (3, 30, "complete")):
        if scene.status() != "inprogress":
            raise Early(played)
        reporting("a", measured(0, version, received=30, completed=completed))(scene)
        if scene.status() != expected:
            raise (Early if expected == "inprogress" else Stuck)(played)


def token_waits_for_what_was_acknowledged(scene: Scene, played: Played) -> None:
    _not_waited(played)
    if _binding(scene) != _newest_at_issue(played):
        raise Early(played)


def token_is_refused_or_lost(scene: Scene, played: Played) -> None:
    """A token on a connector that is being removed: never in progress, never complete, also when it comes back."""
    _not_waited(played)
    refused = getattr(played.outcomes[1], "code", None) == "UnknownInputEndpoint"
    if refused is not (scene.token is None):
        raise NotSerial(played)
    if refused:
        return
    if scene.status() != "UnknownEndpointInCompletionToken":
        raise Stuck(played)
    for version in (0, 2, 3):
        reporting("a", measured(0, version))(scene)
        if scene.status() != "PipelineRestarted":
            raise Early(played)


def check_waits_for_nobody(scene: Scene, played: Played) -> None:
    _not_waited(played)


def token_outlives_it(scene: Scene, played: Played) -> None:
    """The token given before and the one issued meanwhile, if any."""
    if scene.status() != "inprogress" or not isinstance(played.outcomes[1], TokenId | Checked):
        raise NotSerial(played)


def old_token_has_expired(scene: Scene, played: Played) -> None:
    if getattr(played.outcomes[1], "code", None) != "CompletionTokenExpired":
        raise NotSerial(played)


def _listed(outcome: Any) -> list[Any]:
    return outcome if isinstance(outcome, list) else [outcome]


def _not_waited(played: Played) -> None:
    if "B" in played.waited:
        raise TokenWaited(played)


def _newest_at_issue(played: Played) -> int:
    """The version that was committed when the issue, a single step of B, was made."""
    (issued,) = [place for place, step in enumerate(played.trace) if step.startswith("B")]
    return 2 if "A COMMIT" in played.trace[:issued] else 1


def _binding(scene: Scene) -> int:
    assert scene.token is not None
    with scene.engine.connect() as connection:
        sql = "SELECT binding FROM completion_token WHERE id = :id"
        return int(connection.scalars(sa.text(sql), {"id": scene.token.id}).one())
