"""The views of the schema `reporting`, an interface with a promise of its own: docs/reporting.md.

Long, because each column stands here with its expression and its comment.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# security_invoker: the tables are read with the privileges, and by the row-level security, of who asks.
# security_barrier: a condition with a function of his own, or one that may fail, sees no row that a view leaves out.
# What is compared most, names and times, stands as it is stored, so that such conditions still reach the indexes.
_CREATE = (
    "CREATE VIEW reporting.{name} WITH (security_invoker = true, security_barrier = true) AS\nSELECT {columns}\n{rest}"
)

Columns = tuple[tuple[str, str, str], ...]  # name, expression, comment

_NAMES: Columns = (
    ("tenant", "t.name", "Whose connector it is."),
    ("pipeline", "p.name", "The pipeline's name."),
    ("table_name", "c.table_name", "The table that the connector feeds, in its canonical spelling."),
    ("connector_name", "c.connector_name", "The connector's name within its table."),
    ("connector_id", "c.id", "The connector's id, the same for ever: what to join by."),
)
_OWNERS = """  JOIN public.connector AS c ON c.id = x.connector_id
  JOIN public.pipeline AS p ON p.id = c.pipeline_id
  JOIN public.tenant AS t ON t.id = p.tenant_id"""

_COUNTERS: Columns = (
    ("total_records", "x.total_records", "Records taken in, as the connector counts them; it may begin again from 0."),
    ("total_bytes", "x.total_bytes", "Bytes taken in, likewise."),
    ("buffered_records", "x.buffered_records", "Records taken in and not yet processed."),
    ("buffered_bytes", "x.buffered_bytes", "Bytes taken in and not yet processed."),
    ("num_parse_errors", "x.num_parse_errors", "Records that could not be parsed, counted like total_records."),
    ("num_transport_errors", "x.num_transport_errors", "Errors of the transport, counted like total_records."),
)

_CURRENT: Columns = (
    *_NAMES,
    ("endpoint_name", "x.endpoint_name", "table_name.connector_name, to be shown: ambiguous once a table has dots."),
    ("pipeline_status", "x.pipeline_status", "Running, Paused or Stopped, as last reported."),
    ("lifecycle", "x.lifecycle", "removed, failed, finished, paused or running; the first that applies."),
    ("progress", "x.progress", "idle, moving, stalled, rewound or unknown."),
    (
        "health_status",
        "x.health_status",
        "Healthy or Unhealthy; null: it does not say. Unhealthy if it stopped reporting.",
    ),
    ("health_description", "x.health_description", "What it says of its health."),
    (
        "rank",
        "x.rank",
        "0 failed, 1 unhealthy, 2 stalled, 3 rewound, 4 of unknown progress, 5 others; the first that applies.",
    ),
    ("fatal_error", "x.fatal_error", "Why it failed; null: it has not."),
    ("recorded_at", "x.recorded_at", "When its last report was recorded."),
    ("report_age_seconds", "x.report_age_seconds", "How long ago that was, in seconds."),
    ("interval_seconds", "x.interval_seconds", "How often its reporter means to report; null: it does not say."),
    (
        "not_reporting_since",
        "x.not_reporting_since",
        "When it was last heard of, if it has missed three reports; else null.",
    ),
    (
        "received",
        "c.received",
        "The position up to which it has taken input: component to next offset; null: none reported.",
    ),
    ("completed", "c.completed", "The position up to which input is fully processed; null: not known."),
    ("lag_records", "x.lag_records", "Records from completed to received; null: not known."),
    (
        "lag_seconds",
        "x.lag_seconds",
        "For how long the oldest input that is not completed has waited; 0: nothing waits; null: no position.",
    ),
    (
        "unmoved",
        "x.unmoved",
        "Reports in a row that found input waiting and completed not moved; from 3 on it is stalled.",
    ),
    ("version", "x.version", "How many reports have been accepted."),
    ("position_version", "x.position_version", "The newest version that came with a position; 0: none."),
    ("completed_version", "x.completed_version", "The newest version all of whose input is completed."),
    ("epoch_number", "x.epoch_number", "Which of its histories of positions this is, from 1; 0: no position yet."),
    ("epoch_label", "x.epoch_label", "What its reporter calls that history."),
    *_COUNTERS,
    (
        "processing_latency_p99_micros",
        "c.processing_latency_p99_micros",
        "99th percentile of its processing latency, in microseconds; null: not reported.",
    ),
    ("end_of_input", "x.end_of_input", "Whether its input has ended."),
    ("paused", "x.paused", "Whether a user has paused it."),
    ("barrier", "x.barrier", "Whether it blocks checkpoints of the engine."),
    ("created_at", "x.created_at", "When its first report was recorded."),
    ("removed_at", "x.removed_at", "When it was removed; null: it is there."),
)

_HISTORY: Columns = (
    *_NAMES,
    ("recorded_at", "x.recorded_at", "When the report was recorded. Name a range: the data is cut by the day (UTC)."),
    (
        "version",
        "x.version",
        "Which report of the connector it was. Reports that changed only counters are not all kept.",
    ),
    (
        "lifecycle",
        "CASE WHEN x.fatal_error IS NOT NULL THEN 'failed' WHEN x.end_of_input THEN 'finished'"
        " WHEN x.paused THEN 'paused' ELSE 'running' END",
        "failed, finished, paused or running; the first that applies.",
    ),
    ("progress", "x.progress", "idle, moving, stalled or rewound; null: not known."),
    ("health_status", "x.health_status", "Healthy or Unhealthy; null: it did not say."),
    ("fatal_error", "x.fatal_error", "Why it had failed; null: it had not."),
    ("received", "x.received", "The position up to which it had taken input; null: none reported."),
    ("completed", "x.completed", "The position up to which input was fully processed; null: not known."),
    ("lag_records", "x.lag_records", "Records from completed to received; null: not known."),
    ("lag_seconds", "x.lag_seconds", "For how long the oldest input not completed had waited; null: no position."),
    ("completed_version", "x.completed_version", "The newest version all of whose input was completed."),
    ("epoch_number", "x.epoch_number", "Which of its histories of positions it was; 0: no position yet."),
    *_COUNTERS,
    (
        "processing_latency_p99_micros",
        "x.processing_latency_p99_micros",
        "99th percentile of its processing latency, in microseconds; null: not reported.",
    ),
    ("interval_seconds", "x.interval_seconds", "How often its reporter meant to report; null: it did not say."),
    ("end_of_input", "x.end_of_input", "Whether its input had ended."),
    ("paused", "x.paused", "Whether a user had paused it."),
    ("barrier", "x.barrier", "Whether it blocked checkpoints of the engine."),
)

_ROLLED_UP: Columns = (
    ("computed_at", "x.computed_at", "When this row was computed; one that is not over yet is computed again."),
    ("observations", "x.observations", "Reports of which the history keeps all that was said."),
    ("reports", "x.reports", "Reports accepted."),
    (
        "received_delta",
        "x.received_delta",
        "Records by which received moved forward, epochs apart; null: nothing to compare with.",
    ),
    ("completed_delta", "x.completed_delta", "Records by which completed moved forward, likewise."),
    (
        "records_delta",
        "x.records_delta",
        "Records taken in, by total_records, resets of the counter minded; null: nothing to compare with.",
    ),
    ("bytes_delta", "x.bytes_delta", "Bytes taken in, likewise."),
    ("parse_errors", "x.parse_errors", "Records that could not be parsed, likewise."),
    ("transport_errors", "x.transport_errors", "Errors of the transport, likewise."),
    ("failures", "x.failures", "How often it failed."),
    ("epochs", "x.epochs", "Epochs opened: each may have lost tokens."),
    ("lag_records_min", "x.lag_records_min", "The least lag observed, in records; null: not known."),
    ("lag_records_avg", "x.lag_records_avg", "The mean lag of the observations, in records."),
    ("lag_records_max", "x.lag_records_max", "The greatest lag observed, in records."),
    ("lag_records_p95", "x.lag_records_p95", "The 95th percentile of the observed lags, in records."),
    ("lag_seconds_min", "x.lag_seconds_min", "The least lag observed, in seconds; null: no position."),
    ("lag_seconds_avg", "x.lag_seconds_avg", "The mean lag of the observations, in seconds."),
    ("lag_seconds_max", "x.lag_seconds_max", "The greatest lag observed, in seconds."),
    ("lag_seconds_p95", "x.lag_seconds_p95", "The 95th percentile of the observed lags, in seconds."),
    ("running_seconds", "x.running_seconds", "Seconds that it was running."),
    ("paused_seconds", "x.paused_seconds", "Seconds that it was paused."),
    ("finished_seconds", "x.finished_seconds", "Seconds that its input had ended."),
    ("failed_seconds", "x.failed_seconds", "Seconds that it had failed."),
    ("unknown_seconds", "x.unknown_seconds", "Seconds that it was there, but not reporting."),
    ("idle_seconds", "x.idle_seconds", "Seconds that nothing waited. Progress is another axis than the five before."),
    ("moving_seconds", "x.moving_seconds", "Seconds that it got on with its input."),
    ("stalled_seconds", "x.stalled_seconds", "Seconds that input waited and nothing was completed."),
    ("rewound_seconds", "x.rewound_seconds", "Seconds that completed had gone back."),
    ("healthy_seconds", "x.healthy_seconds", "Seconds that it said it was healthy."),
    ("unhealthy_seconds", "x.unhealthy_seconds", "Seconds that it said it was not."),
)
_TOKENS: Columns = (
    ("tokens_issued", "x.tokens_issued", "Completion tokens issued in it."),
    ("tokens_completed", "x.tokens_completed", "Of those, complete by now."),
    ("tokens_lost", "x.tokens_lost", "Of those, lost with their epoch before they were complete."),
    (
        "latency_seconds_avg",
        "x.token_latency_avg",
        "From issue to completion: the mean of those complete; null: none is.",
    ),
    ("latency_seconds_p50", "x.token_latency_p50", "From issue to completion: the median."),
    ("latency_seconds_p95", "x.token_latency_p95", "From issue to completion: the 95th percentile."),
    ("latency_seconds_max", "x.token_latency_max", "From issue to completion: the longest."),
)
_HOUR: Columns = (("starts_at", "x.starts_at", "When the hour begins."),)
_DAY: Columns = (
    ("day", "CAST(x.starts_at AT TIME ZONE 'UTC' AS date)", "The day, of UTC."),
    ("starts_at", "x.starts_at", "When the day begins."),
)
_AVAILABILITY: Columns = (
    ("known_seconds", "k.seconds", "Seconds of the day that the connector was there: what the shares are of."),
    *(
        (f"{state}_share", f"x.{state}_seconds / nullif(k.seconds, 0)", comment)
        for state, comment in (
            ("running", "The share of the day, from 0 to 1, that it was running. Adds up to 1 with the next four."),
            ("paused", "The share that it was paused."),
            ("finished", "The share that its input had ended."),
            ("failed", "The share that it had failed."),
            ("unknown", "The share that it was not reporting."),
            ("stalled", "The share that it was stalled, whatever else it was."),
        )
    ),
)
_EVENT: Columns = (
    *_NAMES,
    ("at", "x.at", "When it was recorded."),
    ("version", "x.version", "The version of the connector whose report it came with."),
    ("kind", "x.kind", "created, restored, removed, paused, resumed, failed, recovered, health, epoch or rewound."),
    ("details", "x.details", "What else is known of it, by kind: docs/events.md."),
)
_TOKEN: Columns = (
    *_NAMES,
    ("token_id", "x.id", "The token's own id, a UUIDv7: of its time."),
    ("issued_at", "x.issued_at", "When it was issued. Name a range of token_id, too, by first_token()."),
    ("issued_by", "x.issued_by", "The name of the API key that asked for it."),
    ("epoch_number", "x.epoch_number", "The epoch of its connector in which it was issued."),
    ("binding", "x.binding", "The version that has to be completed."),
    ("status", "s.status", "complete, inprogress, lost (with its epoch) or removed (with its connector)."),
    ("completed_by", "d.completed_by", "The first observation that found it complete; null: it is not."),
    (
        "latency_seconds",
        "CASE WHEN d.completed_by IS NOT NULL THEN greatest(0, date_part('epoch', d.completed_by - x.issued_at)) END",
        "From issue to completed_by, in seconds.",
    ),
)
_SUMMARY: Columns = (
    ("tenant", "t.name", "Whose pipeline it is."),
    ("pipeline", "p.name", "The pipeline's name."),
    ("pipeline_id", "p.id", "The pipeline's id, the same for ever."),
    ("status", "p.status", "Running, Paused or Stopped, as last reported."),
    ("status_since", "p.status_since", "Since when."),
    ("started_at", "p.started_at", "When it was last started."),
    ("connectors", "count(x.connector_id)", "How many connectors it has; removed ones are left out here and below."),
    *(
        (name, f"count(*) FILTER (WHERE x.{name_of} = '{value}')", comment)
        for name, name_of, value, comment in (
            ("running", "lifecycle", "running", "Connectors that are running."),
            ("paused", "lifecycle", "paused", "Connectors that are paused."),
            ("finished", "lifecycle", "finished", "Connectors whose input has ended."),
            ("failed", "lifecycle", "failed", "Connectors that have failed."),
            ("stalled", "progress", "stalled", "Connectors that do not get on with input that waits."),
            ("rewound", "progress", "rewound", "Connectors whose completed position went back."),
            ("unhealthy", "health_status", "Unhealthy", "Connectors that say so, or that have stopped reporting."),
        )
    ),
    ("not_reporting", "count(x.not_reporting_since)", "Connectors that have missed three reports."),
    ("lag_records", "sum(x.lag_records)", "Records behind, in all connectors of which it is known."),
    ("lag_seconds_max", "max(x.lag_seconds)", "For how long the oldest input of all has waited."),
    ("total_records", "sum(x.total_records)", "Records taken in, as the connectors count them."),
    ("num_parse_errors", "sum(x.num_parse_errors)", "Records that could not be parsed, likewise."),
    ("num_transport_errors", "sum(x.num_transport_errors)", "Errors of the transport, likewise."),
    ("last_recorded_at", "max(x.recorded_at)", "When the newest report of all was recorded."),
)

_STATUS = """ CROSS JOIN LATERAL (
       SELECT CASE WHEN c.removed_at IS NOT NULL THEN 'removed'
                   WHEN x.binding <= CASE WHEN e.ended_at IS NULL THEN c.completed_version
                                          ELSE e.completed_version END THEN 'complete'
                   WHEN e.ended_at IS NOT NULL THEN 'lost'
                   ELSE 'inprogress'
              END AS status
       ) AS s
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.status = 'complete'
                   THEN coalesce((SELECT o.recorded_at
                                    FROM public.observation AS o
                                   WHERE o.connector_id = x.connector_id AND o.epoch_number = x.epoch_number
                                     AND o.completed_version >= x.binding AND o.recorded_at >= x.issued_at
                                   ORDER BY o.recorded_at
                                   LIMIT 1), e.ended_at, c.recorded_at)
              END AS completed_by
       ) AS d"""

_VIEWS: tuple[tuple[str, str, Columns, str], ...] = (
    ("connector_current", "A row for each connector, as it is now; removed ones too.", _CURRENT,
     f"  FROM public.connector_activity AS x\n{_OWNERS}"),
    ("connector_history", "A row for each report that is kept, for as long as observations are.", _HISTORY,
     f"  FROM public.observation AS x\n{_OWNERS}"),
    ("connector_hourly", "A row for each connector and hour of which something is known.",
     (*_NAMES, *_HOUR, *_ROLLED_UP), f"  FROM public.connector_hourly AS x\n{_OWNERS}"),
    ("connector_daily", "A row for each connector and day (UTC) of which something is known.",
     (*_NAMES, *_DAY, *_ROLLED_UP), f"  FROM public.connector_daily AS x\n{_OWNERS}"),
    ("connector_availability", "A row for each connector and day (UTC): the shares of it in each state.",
     (*_NAMES, *_DAY, *_AVAILABILITY),
     f"  FROM public.connector_daily AS x\n{_OWNERS}\n CROSS JOIN LATERAL (SELECT x.running_seconds + x.paused_seconds"
     " + x.finished_seconds + x.failed_seconds + x.unknown_seconds AS seconds) AS k"),
    ("connector_event", "A row for each transition of a connector.", _EVENT,
     f"  FROM public.connector_event AS x\n{_OWNERS}"),
    ("token", "A row for each completion token, for as long as tokens are kept.", _TOKEN,
     f"  FROM public.completion_token AS x\n{_OWNERS}\n"
     f"  JOIN public.connector_epoch AS e ON e.connector_id = x.connector_id AND e.number = x.epoch_number\n{_STATUS}"),
    ("token_latency", "A row for each connector and hour in which tokens were issued: what became of them.",
     (*_NAMES, *_HOUR, *_TOKENS), f"  FROM public.connector_hourly AS x\n{_OWNERS}\n WHERE x.tokens_issued > 0"),
    ("pipeline_summary", "A row for each pipeline: its connectors, summed up.", _SUMMARY,
     "  FROM public.pipeline AS p\n  JOIN public.tenant AS t ON t.id = p.tenant_id\n"
     "  LEFT JOIN public.connector_activity AS x ON x.pipeline_id = p.id AND x.lifecycle <> 'removed'\n"
     " GROUP BY p.id, t.id"),
)  # fmt: skip


def upgrade() -> None:
    for name, comment, columns, rest in _VIEWS:
        selected = ",\n       ".join(f"{expression} AS {column}" for column, expression, _ in columns)
        op.execute(_CREATE.format(name=name, columns=selected, rest=rest))
        op.execute(f"COMMENT ON VIEW reporting.{name} IS {_literal(comment)}")
        for column, _, meaning in columns:
            op.execute(f"COMMENT ON COLUMN reporting.{name}.{column} IS {_literal(meaning)}")


def downgrade() -> None:
    for name, *_ in reversed(_VIEWS):
        op.execute(f"DROP VIEW reporting.{name}")


def _literal(comment: str) -> str:
    return "'" + comment.replace("'", "''").replace(":", r"\:") + "'"
