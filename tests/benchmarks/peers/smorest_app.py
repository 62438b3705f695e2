"""Peer (b): flask-smorest with its decorators, SQLAlchemy's ORM with relationships, marshmallow dumps.

As its documentation shows it, and with what its users know: one joined query a request, a session a request, the same
driver, pool and gunicorn as ours.
"""

# mypy: disallow-untyped-decorators=False

import os
import time
from typing import Any, NoReturn
from uuid import UUID, uuid4

import flask_smorest
import sqlalchemy as sa
from flask import Flask, g
from flask.views import MethodView
from flask_smorest import Api, Blueprint
from sqlalchemy.orm import Session, joinedload, sessionmaker
from werkzeug.http import http_date

from tests.benchmarks.peers import dialect
from tests.benchmarks.peers.smorest_models import CompletionToken, Connector
from tests.benchmarks.peers.smorest_schemas import CheckArguments, StatsSchema, StatusSchema, TokenSchema

_SESSION = {"options": "-c jit=off -c timezone=UTC"}

connectors = Blueprint("connectors", __name__, url_prefix="/v0/pipelines/<pipeline>")
sessions = sessionmaker(expire_on_commit=False)


def abort(status: int, message: str) -> NoReturn:
    flask_smorest.abort(status, message=message)
    raise AssertionError  # abort is untyped, and never returns


def session() -> Session:
    """The request's own."""
    if "session" not in g:
        g.session = sessions()
    found: Session = g.session
    return found


@connectors.route("/tables/<table>/connectors/<connector>/stats")
class Stats(MethodView):
    @connectors.response(200, StatsSchema)
    def get(self, pipeline: str, table: str, connector: str) -> Any:
        row = _find(pipeline, table, connector, joinedload(Connector.errors))
        headers = {
            "ETag": f'"{row.version}"',
            "Last-Modified": http_date(row.recorded_at),
            "Cache-Control": "private, no-cache",
        }
        return row, headers


@connectors.route("/tables/<table>/connectors/<connector>/completion_token")
class Token(MethodView):
    @connectors.response(200, TokenSchema)
    def get(self, pipeline: str, table: str, connector: str) -> CompletionToken:
        row = _find(pipeline, table, connector)
        if row.epoch_number == 0:
            abort(409, "no stream position yet")
        token = CompletionToken(
            connector_id=row.id,
            id=_uuid7(),
            epoch_number=row.epoch_number,
            binding=row.version + 2 if row.recording == "sampled" else row.position_version,
            issued_by="anyone",
        )
        session().add(token)
        session().commit()
        return token


@connectors.route("/completion_status")
class CompletionStatus(MethodView):
    @connectors.arguments(CheckArguments, location="query")
    @connectors.response(200, StatusSchema)
    def get(self, arguments: dict[str, str], pipeline: str) -> Any:
        try:
            ids = dialect.token_ids(arguments["token"])
        except ValueError as error:
            abort(400, str(error))
        joined = (joinedload(CompletionToken.connector), joinedload(CompletionToken.epoch))
        token = session().get(CompletionToken, ids, options=joined)
        if token is None or token.connector.pipeline_id != dialect.pipeline_id(pipeline):
            abort(404, "unknown pipeline or token")
        if token.connector.removed_at is not None:
            abort(410, "the token is gone")
        frozen = token.epoch.completed_version  # None until the epoch has ended
        if (token.connector.completed_version if frozen is None else frozen) >= token.binding:
            return {"status": "complete", "step": token.binding}
        if token.epoch.ended_at is not None:
            abort(410, "the pipeline was restarted")
        return {"status": "inprogress", "step": None}, 202


def create_app() -> Flask:
    app = Flask(__name__, static_folder=None)
    app.config.update(API_TITLE="Peer", API_VERSION="1", OPENAPI_VERSION="3.0.3")
    engine = sa.create_engine(os.environ["DATABASE_URL"], pool_size=5, max_overflow=0, connect_args=_SESSION)
    sessions.configure(bind=engine)
    Api(app).register_blueprint(connectors)
    app.teardown_appcontext(_close)
    return app


def _close(_: BaseException | None) -> None:
    if "session" in g:
        g.session.close()


def _find(pipeline: str, table: str, connector: str, *options: Any) -> Connector:
    key = dialect.connector_id(pipeline, table, connector)
    row = session().get(Connector, key, options=[joinedload(Connector.pipeline), *options])
    if row is None or row.removed_at is not None:
        abort(404, "unknown pipeline or connector")
    if row.pipeline.status == "Stopped":
        abort(503, "the pipeline is stopped")
    return row


def _uuid7() -> UUID:
    random = uuid4().int & ~(0xF << 76) & (1 << 80) - 1
    return UUID(int=(time.time_ns() // 1_000_000) << 80 | 7 << 76 | random & ~(0x3 << 62) | 0x2 << 62)
