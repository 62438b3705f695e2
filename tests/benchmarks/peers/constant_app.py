"""Limit (c): a Flask view that asks nobody and returns constant bytes, as many as a stats answer has."""

import os
from pathlib import Path

from flask import Flask, Response

app = Flask(__name__, static_folder=None)
_ANSWER = Path(os.environ["CONSTANT_ANSWER"]).read_bytes()


@app.get("/v0/pipelines/<pipeline>/tables/<table>/connectors/<connector>/stats")
def read_stats(pipeline: str, table: str, connector: str) -> Response:
    return Response(_ANSWER, mimetype="application/json")
