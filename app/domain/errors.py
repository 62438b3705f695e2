"""Everything Tidemark refuses to do, as one tree.

    TidemarkError
    ├── InvalidParam                        a path, query or header value is malformed
    ├── MalformedBody                       the body is not JSON
    ├── InvalidReport                       the body is JSON, but not a valid document for this operation
    ├── AuthenticationFailed                no credential, or not a valid one
    ├── InsufficientPermissions             the credential's role is too low
    │   └── OperatorsOnly                   it is not one of the tenant `default`
    ├── Unknown
    │   ├── UnknownPipelineName
    │   ├── UnknownInputEndpoint
    │   ├── UnknownCompletionToken
    │   └── UnknownApiKey
    ├── Conflict
    │   ├── NoStreamPosition                the connector has never reported a position
    │   ├── PositionRegressed               received went back within an epoch
    │   ├── EpochSuperseded                 a report from an epoch that is already closed
    │   ├── ApiKeyNameInUse
    │   └── TenantNameInUse
    ├── PreconditionRequired                a sampled report without If-Match
    ├── PreconditionFailed                  If-Match names a version that is not the current one
    ├── Gone
    │   ├── PipelineRestarted               the token was lost with its epoch
    │   ├── UnknownEndpointInCompletionToken  the token's connector was removed
    │   └── CompletionTokenExpired          the token is older than the retention
    └── Unavailable                         can clear by itself: worth a retry
        ├── NotReady                        the server cannot do its work
        ├── PipelineInteractionNotDeployed  the pipeline is recorded as stopped
        ├── TooManyRequests                 the credential, or everybody together, has too many that wait
        └── ServiceUnavailable              the database did not answer in time

The class name is the ``error_code`` on the wire (design §5) and the class docstring is the default message.
Nothing here knows HTTP; ``app/api/errors.py`` holds the one table from a class to its status.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class TidemarkError(Exception):
    """The request could not be carried out."""

    def __init__(self, message: str | None = None, *, details: Mapping[str, Any] | None = None) -> None:
        """``message`` is for people (default: the class docstring), ``details`` for programs."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The stable name a program can match on."""
        return type(self).__name__


class InvalidParam(TidemarkError):
    """A parameter is malformed."""

    def __init__(self, error: str) -> None:
        super().__init__(f"Invalid parameter: {error}", details={"error": error})


class MalformedBody(TidemarkError):
    """The request body is not valid JSON."""


class InvalidReport(TidemarkError):
    """The request body has invalid fields."""


class AuthenticationFailed(TidemarkError):
    """A valid credential is required: send 'Authorization: Bearer <API key>'."""


class InsufficientPermissions(TidemarkError):
    """The credential's role does not allow this operation."""

    def __init__(self, *, required: str, actual: str) -> None:
        super().__init__(
            f"This operation requires the role '{required}' or higher; the credential has '{actual}'",
            details={"required": required, "actual": actual},
        )


class OperatorsOnly(InsufficientPermissions):
    """Tenants are created and listed by administrators of the tenant 'default' only."""

    def __init__(self) -> None:
        super().__init__(required="admin", actual="admin")
        self.message = (type(self).__doc__ or "").strip()


class Unknown(TidemarkError):
    """There is no such thing."""


class UnknownPipelineName(Unknown):
    """Unknown pipeline name."""

    def __init__(self, pipeline: str) -> None:
        super().__init__(f"Unknown pipeline name '{pipeline}'", details={"pipeline_name": pipeline})


class UnknownInputEndpoint(Unknown):
    """Unknown input endpoint name."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"unknown input endpoint name '{endpoint}'", details={"endpoint_name": endpoint})


class UnknownCompletionToken(Unknown):
    """Unknown completion token."""


class UnknownApiKey(Unknown):
    """Unknown API key."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown API key '{name}'", details={"name": name})


class Conflict(TidemarkError):
    """The request contradicts what is recorded."""


class NoStreamPosition(Conflict):
    """The connector has not reported a stream position yet, so a token could not be tied to one."""


class PositionRegressed(Conflict):
    """The received position went back within its epoch; a new history of positions needs a new epoch."""

    def __init__(self, component: str, *, recorded: int, reported: int | None) -> None:
        where = f" in component '{component}'" if component else ""
        now = "is missing" if reported is None else f"is {reported}"
        super().__init__(
            f"received{where} {now} but {recorded} is recorded; name a new epoch if this is a new history",
            details={"component": component or None, "recorded": recorded, "reported": reported},
        )


class EpochSuperseded(Conflict):
    """The report names an epoch that a newer one has replaced."""

    def __init__(self, label: str | None, *, current: str | None) -> None:
        super().__init__(
            "The report names an epoch that a newer one has replaced; its reporter should stop",
            details={"epoch": label, "current_epoch": current},
        )


class ApiKeyNameInUse(Conflict):
    """An API key of this name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"An API key named '{name}' exists", details={"name": name})


class TenantNameInUse(Conflict):
    """A tenant of this name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"A tenant named '{name}' exists", details={"name": name})


class PreconditionRequired(TidemarkError):
    """A sampled report must say, in If-Match, which version its reporter had seen before it measured."""


class PreconditionFailed(TidemarkError):
    """Another report was recorded since the version named by If-Match: measure again, then report again."""

    def __init__(self, *, current_version: int) -> None:
        super().__init__(details={"current_version": current_version})
        self.current_version = current_version


class Gone(TidemarkError):
    """It was there, and is no more."""


class PipelineRestarted(Gone):
    """The token was lost: its epoch ended before its position was completed."""

    def __init__(self, *, token_epoch: int, current_epoch: int) -> None:
        super().__init__(
            f"The token belongs to epoch {token_epoch} of its connector, which ended before the token's "
            f"position was completed; the connector is now in epoch {current_epoch}",
            details={"token_epoch": token_epoch, "current_epoch": current_epoch},
        )


class UnknownEndpointInCompletionToken(Gone):
    """The connector that the token belongs to has been removed."""


class CompletionTokenExpired(Gone):
    """The token is older than the retention of completion tokens."""


class Unavailable(TidemarkError):
    """Not possible just now; try again."""

    retry_after_seconds = 1


class NotReady(Unavailable):
    """The server cannot do its work."""

    def __init__(self, checks: Mapping[str, bool], *, failed: Sequence[str]) -> None:
        super().__init__(f"Not ready: failed {', '.join(failed)}", details={"checks": dict(checks)})


class PipelineInteractionNotDeployed(Unavailable):
    """The pipeline is recorded as stopped."""

    retry_after_seconds = 5

    def __init__(self, pipeline: str) -> None:
        super().__init__(
            f"Pipeline '{pipeline}' is recorded as stopped, so it cannot be interacted with",
            details={"pipeline_name": pipeline},
        )


class TooManyRequests(Unavailable):
    """Too many requests of this credential, or of all, are waiting already; ask without waiting, or later."""


class ServiceUnavailable(Unavailable):
    """The database did not answer in time; the outcome of a write is unknown until it is read back."""

    def __init__(self, *, undone: bool = False) -> None:
        """``undone``: it is certain that nothing was written, because somebody else was in the way."""
        super().__init__()
        self.undone = undone
