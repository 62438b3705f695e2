"""Whether the server keeps what the accounts say, and whether its tokens tell the truth."""

import random
from dataclasses import replace

from app.domain.connector import Connector
from app.domain.token import TokenId
from tests.domain.history import Early, Lost, Stuck, Undone
from tests.robustness.commits.account import NOW, PIPELINE, Account, Token
from tests.robustness.commits.server import LossyServer, WrongAnswer, expect


class Miscounted(AssertionError):
    """What is recorded is not what was accepted: something was lost, or done twice."""


class Auditor:
    """Compares the rows of one server with accounts, and looks at some of their tokens."""

    def __init__(self, server: LossyServer, rng: random.Random) -> None:
        self.server, self.rng = server, rng

    def audit(self, account: Account) -> None:
        """Every row is as accepted reports make it, and the tokens looked at tell the truth."""
        recorded, rows = self.server.rows(account.address)
        tokens = {TokenId.parse(token.text).id for token in account.tokens}
        made = {id for (id,) in rows.pop("tokens")}
        if not tokens <= made or len(made) != len(tokens) + account.unheard_of:
            raise Miscounted(f"{len(tokens)} tokens told of, {account.unheard_of} not, {len(made)} there")
        if (_timeless(recorded), rows) != (_timeless(account.record), account.rows()):
            raise Miscounted(f"recorded {recorded} {rows}, expected {account.record} {account.rows()}")
        for token in self.rng.sample(account.tokens, min(2, len(account.tokens))):
            self.judge(account, token)

    def judge(self, account: Account, token: Token) -> None:
        answer = self.server.send("GET", f"{PIPELINE}/completion_status?token={token.text}")
        code = expect(answer, 200, 202, 410).json().get("error_code")
        if answer.status_code == 200 and account.processed[token.label] < token.need:
            raise Early(token)
        if account.record.removed is not (code == "UnknownEndpointInCompletionToken"):
            raise WrongAnswer(token, answer.text)
        if token.was_complete and answer.status_code != 200 and not account.record.removed:
            raise Undone(token)
        if answer.status_code != 200 and account.lives(token) is not (answer.status_code == 202):
            raise Lost(token, answer.text)
        token.was_complete |= answer.status_code == 200

    def close(self, account: Account) -> None:
        """All is processed and reported: every token of a living epoch is complete."""
        for token in account.tokens:
            self.judge(account, token)
            if account.lives(token) and not token.was_complete:
                raise Stuck(token)


def _timeless(connector: Connector) -> Connector:
    frontier = tuple(replace(checkpoint, at=NOW) for checkpoint in connector.frontier)
    return replace(connector, recorded_at=None, observed_at=None, frontier=frontier)
