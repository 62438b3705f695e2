"""What settles a wait, and the status of several tokens together."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import TidemarkError
from app.domain.token import TokenRecord, TokenStatus, evaluate
from app.domain.waiting import Need, Standing, Until, Verdict, easiest, verdict

CONNECTOR = UUID(int=1)
SMALL = st.integers(0, 4)
STATUSES = st.lists(st.sampled_from([TokenStatus.COMPLETE, TokenStatus.IN_PROGRESS, None]), min_size=1, max_size=5)


def in_progress(record: TokenRecord) -> bool:
    try:
        return evaluate(record) is TokenStatus.IN_PROGRESS
    except TidemarkError:
        return False


@given(epoch=st.integers(1, 3), binding=st.integers(1, 4), current=SMALL, completed=SMALL, frozen=SMALL)
def test_a_standing_settles_just_what_is_in_progress_no_longer(
    epoch: int, binding: int, current: int, completed: int, frozen: int
) -> None:
    """Against the evaluation of the token's record, of which the standing is all that moves."""
    ended = current != epoch
    record = TokenRecord(
        epoch_number=epoch,
        binding=binding,
        removed=current == 0,
        current_epoch_number=current,
        completed_version=frozen if ended else completed,
        epoch_ended=ended,
    )
    standing = Standing(CONNECTOR, current, completed)
    assert standing.settles(Need(CONNECTOR, epoch, binding)) is not in_progress(record)


@given(bindings=st.sets(SMALL, min_size=1), epoch=st.integers(0, 2), completed=SMALL)
def test_the_easiest_need_is_settled_just_when_one_of_them_is(bindings: set[int], epoch: int, completed: int) -> None:
    needs = {Need(CONNECTOR, 1, binding) for binding in bindings}
    found, standing = easiest(needs), Standing(CONNECTOR, epoch, completed)
    assert found is not None
    assert standing.settles(found) is any(standing.settles(need) for need in needs)
    assert easiest({*needs, None}) is easiest({*needs, Need(CONNECTOR, 2, 1)}) is None


@given(statuses=STATUSES)
def test_all_are_complete_when_each_is_and_out_of_reach_when_one_is(statuses: list[TokenStatus | None]) -> None:
    found = verdict(statuses, Until.ALL)
    assert (found is Verdict.COMPLETE) == all(each is TokenStatus.COMPLETE for each in statuses)
    assert (found is Verdict.FAILED) == any(each is None for each in statuses)


@given(statuses=STATUSES)
def test_any_is_complete_when_one_is_and_out_of_reach_when_each_is(statuses: list[TokenStatus | None]) -> None:
    found = verdict(statuses, Until.ANY)
    assert (found is Verdict.COMPLETE) == any(each is TokenStatus.COMPLETE for each in statuses)
    assert (found is Verdict.FAILED) == all(each is None for each in statuses)
