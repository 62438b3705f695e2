"""Cases played at random against the server: each loses something of one report, batch, issue or removal."""

import random
from collections import Counter
from typing import Any

from app.domain.names import Address, tenant_id
from app.domain.status import Recording
from tests.robustness.commits.account import PIPELINE, Account, Measurement
from tests.robustness.commits.audit import Auditor
from tests.robustness.commits.proxy import Loss
from tests.robustness.commits.sender import Sender, recorded
from tests.robustness.commits.server import LossyServer, WrongAnswer, expect, version
from tests.robustness.commits.ways import ISSUES, WRITES

REPORTS = f"{PIPELINE}/reports"
_CONNECTORS = 8  # at most; one that is removed can come back


class Play:
    """Cases at random, all from one seed, against one server."""

    def __init__(self, server: LossyServer, seed: int) -> None:
        self.server, self.seed, self.rng = server, seed, random.Random(seed)
        self.sender, self.auditor = Sender(server), Auditor(server, self.rng)
        self.accounts: list[Account] = []

    @property
    def forced(self) -> Counter[tuple[str, str]]:
        return self.sender.forced

    def run(self, cases: int) -> None:
        """Plays so many cases, and a removal now and then; a failure says how to play it again."""
        case = ""
        try:
            for number in range(cases):
                case = f"COMMIT_SEED={self.seed}, case {number}"
                kind = self.rng.choice((self.report, self.batch, self.issue))
                for account in (*kind(), *(self.remove() if self.rng.random() < 0.05 else ())):
                    self.auditor.audit(account)
            case = f"COMMIT_SEED={self.seed}, after {cases} cases"
            for account in self.accounts:
                self.finish(account)
        except AssertionError as failure:
            failure.add_note(case)
            raise

    # the cases; each answers whom it concerned

    def report(self) -> list[Account]:
        account, way = self._any(), self.rng.choice(WRITES)
        account.live(self.rng)
        measured, condition = account.measure(), account.condition()
        answer = self.sender.lossy("report", way, lambda: self.sender.put(account, measured, condition))
        if answer is not None:
            recorded(account, measured, answer.status_code, version(answer))
            return [account]
        if way.done:
            account.accept(measured)
        self.sender.sort_out(account, condition)
        return [account]

    def batch(self) -> list[Account]:
        drawn = [self._any() for _ in range(self.rng.randint(2, 5))]
        accounts = list({id(account): account for account in drawn}.values())
        for account in accounts:
            account.live(self.rng)
        way, measured = self.rng.choice(WRITES), [account.measure() for account in accounts]
        conditions = [account.condition() for account in accounts]
        items = [item(*each) for each in zip(accounts, measured, conditions, strict=True)]
        stale = item(Account(address("nobody"), Recording.SAMPLED), measured[0], 7)
        answer = self.sender.lossy("batch", way, lambda: self.server.send("POST", REPORTS, json=[*items, stale]))
        if answer is None:
            for account, each, condition in zip(accounts, measured, conditions, strict=True):
                if way.done:
                    account.accept(each)
                self.sender.sort_out(account, condition)
            return accounts
        *results, refused = expect(answer, 200).json()
        for account, each, result in zip(accounts, measured, results, strict=True):
            recorded(account, each, result["status"], result.get("version"))
        if (refused["status"], refused["details"]) != (412, {"current_version": 0}):
            raise WrongAnswer(refused)
        return accounts

    def issue(self) -> list[Account]:
        account, way = self.known(), self.rng.choice(ISSUES)
        if account.recording is Recording.SAMPLED:
            account.received += self.rng.choice((0, 3))  # what the record does not know of
        path = f"{account.path}/completion_token"
        answer = self.sender.lossy("issue", way, lambda: self.server.send("GET", path))
        if way.loss is Loss.ANSWER:
            account.unheard_of += way.times
        if answer is None:
            answer = self.server.send("GET", path)
        account.keep_token(str(expect(answer, 200).json()["token"]))
        return [account]

    def remove(self) -> list[Account]:
        account, way = self.known(), self.rng.choice(WRITES)
        answer = self.sender.lossy("removal", way, lambda: self.server.send("DELETE", account.path))
        if answer is None:
            answer = self.server.send("DELETE", account.path)
            expect(answer, 404 if way.done else 204)
        else:
            expect(answer, 204)
        account.remove()
        return [account]

    def finish(self, account: Account) -> None:
        """Everything is processed and reported twice more: every token of a living epoch is complete."""
        if not account.record.removed:
            account.processed[account.label] = account.received
            for _ in range(2):
                self.sender.report(account)
        self.auditor.close(account)

    def known(self) -> Account:
        """One that is not removed."""
        account = self._any()
        if not account.record.visible_version:
            self.sender.report(account)
        return account

    def _any(self) -> Account:
        if not self.accounts or (len(self.accounts) < _CONNECTORS and self.rng.random() < 0.1):
            recording = self.rng.choice((Recording.SAMPLED, Recording.SAMPLED, Recording.SYNCHRONOUS))
            self.accounts.append(Account(address(f"c{len(self.accounts)}"), recording))
        return self.rng.choice(self.accounts)


def address(connector: str) -> Address:
    return Address(tenant_id("default"), "demo", "orders", connector)


def item(account: Account, measured: Measurement, condition: int | None) -> dict[str, Any]:
    """The report as one of a batch."""
    named = {"table": account.address.table, "connector": account.address.connector}
    return {**measured.body(account.recording), **named, **({} if condition is None else {"if_match": condition})}
