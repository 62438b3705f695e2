"""The view of every connector's activity; its columns are told in docs/fleet.md."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What others are derived from stands in the lateral subqueries. A report is stale when it is older than three of its
# intervals (`stale_for` in app/domain/status.py). The rank says the same as the columns it sums up, but from the row
# itself, because the list computes it of every connector. `greatest` minds no null: without a checkpoint it is 0. The
# clock may be a little behind that of a report recorded meanwhile, and no age or lag is negative. The tenant is the
# pipeline's, from where an index leads to its connectors.
_VIEW = """
CREATE VIEW connector_activity AS
SELECT c.id AS connector_id, p.tenant_id, p.id AS pipeline_id, p.name AS pipeline, p.status AS pipeline_status,
       c.table_name, c.connector_name, c.table_name || '.' || c.connector_name AS endpoint_name,
       l.lifecycle, s.progress, s.health_status, s.health_description,
       CASE WHEN c.removed_at IS NOT NULL THEN 5
            WHEN c.fatal_error IS NOT NULL THEN 0
            WHEN a.stale OR c.health_status = 'Unhealthy' THEN 1
            WHEN c.completed IS NULL OR c.progress IS NULL THEN 4
            WHEN c.progress = 'stalled' THEN 2
            WHEN c.progress = 'rewound' THEN 3
            ELSE 5
       END AS rank,
       CASE WHEN c.completed IS NOT NULL THEN c.lag_records END AS lag_records,
       CASE WHEN c.received IS NOT NULL
            THEN greatest(0, date_part('epoch', now() - CAST(c.frontier -> 0 ->> 1 AS timestamptz)))
       END AS lag_seconds,
       greatest(0, a.age) AS report_age_seconds, c.recorded_at, c.interval_seconds,
       CASE WHEN a.stale THEN c.recorded_at END AS not_reporting_since,
       c.unmoved, c.version, c.position_version, c.completed_version, c.epoch_number, c.epoch_label,
       c.total_records, c.total_bytes, c.buffered_records, c.buffered_bytes, c.num_parse_errors, c.num_transport_errors,
       c.fatal_error, c.end_of_input, c.paused, c.barrier, c.created_at, c.removed_at
  FROM connector AS c
  JOIN pipeline AS p ON p.id = c.pipeline_id
 CROSS JOIN LATERAL (
       SELECT date_part('epoch', now() - c.recorded_at) AS age,
              c.removed_at IS NULL AND c.recorded_at + c.interval_seconds * interval '3 seconds' < now() AS stale
       ) AS a
 CROSS JOIN LATERAL (
       SELECT CASE WHEN c.removed_at IS NOT NULL THEN 'removed'
                   WHEN c.fatal_error IS NOT NULL THEN 'failed'
                   WHEN c.end_of_input THEN 'finished'
                   WHEN c.paused THEN 'paused'
                   ELSE 'running'
              END AS lifecycle
       ) AS l
 CROSS JOIN LATERAL (
       SELECT CASE WHEN a.stale OR c.completed IS NULL THEN 'unknown'
                   ELSE coalesce(c.progress, 'unknown')
              END AS progress,
              CASE WHEN a.stale THEN 'Unhealthy'
                   WHEN c.removed_at IS NULL THEN c.health_status
              END AS health_status,
              CASE WHEN a.stale THEN 'no report for ' || round(a.age) || ' s'
                   WHEN c.removed_at IS NULL THEN c.health_description
              END AS health_description
       ) AS s
"""


def upgrade() -> None:
    for column in ("progress", "unmoved", "lag_records"):
        op.execute(f"ALTER TABLE connector VALIDATE CONSTRAINT ck_connector_{column}")
    op.execute(_VIEW)


def downgrade() -> None:
    op.execute("DROP VIEW connector_activity")
