-- All that accepted reports and removals leave behind beside the hot row, in one round trip.
-- Errors: of those kept and those coming in, the newest :of_a_tag of a tag and :of_a_kind in all stay. By time, because an
-- engine that restarts counts from 1 again. A replaced error is neither ranked twice nor deleted.
WITH closed AS (
    UPDATE connector_epoch AS e
       SET completed_version = r.completed_version, ended_at = r.ended_at, removed = r.removed
      FROM json_to_recordset(CAST(:closed AS json)) AS r (
               connector_id uuid, number bigint, completed_version bigint, ended_at timestamptz, removed bool
           )
     WHERE e.connector_id = r.connector_id AND e.number = r.number
), opened AS (
    INSERT INTO connector_epoch (connector_id, number, label, first_version, started_at)
    SELECT r.*
      FROM json_to_recordset(CAST(:opened AS json)) AS r (
               connector_id uuid, number bigint, label text, first_version bigint, started_at timestamptz
           )
), events AS (
    INSERT INTO connector_event (connector_id, version, kind, at, details, tenant_id)
    SELECT r.*
      FROM json_to_recordset(CAST(:events AS json)) AS r (
               connector_id uuid, version bigint, kind text, at timestamptz, details jsonb, tenant_id uuid
           )
), observations AS (
    INSERT INTO observation (
               connector_id, recorded_at, version, epoch_number, received, completed, completed_version, lag_records,
               lag_seconds, total_bytes, total_records, buffered_records, buffered_bytes, num_transport_errors,
               num_parse_errors, end_of_input, processing_latency_p99_micros, fatal_error, health_status, paused,
               barrier, progress, interval_seconds
           )
    SELECT r.*
      FROM json_to_recordset(CAST(:observations AS json)) AS r (
               connector_id uuid, recorded_at timestamptz, version bigint, epoch_number bigint, received jsonb,
               completed jsonb, completed_version bigint, lag_records numeric, lag_seconds float8, total_bytes bigint,
               total_records bigint, buffered_records bigint, buffered_bytes bigint, num_transport_errors bigint,
               num_parse_errors bigint, end_of_input bool, processing_latency_p99_micros bigint, fatal_error text,
               health_status text, paused bool, barrier bool, progress text, interval_seconds float8
           )
), incoming AS (
    SELECT r.*
      FROM json_to_recordset(CAST(:errors AS json)) AS r (
               connector_id uuid, kind text, tag text, index bigint, occurred_at timestamptz, message text
           )
), ranked AS (
    SELECT connector_id, kind, tag, index, fresh,
           row_number() OVER (PARTITION BY connector_id, kind, tag ORDER BY occurred_at DESC, index DESC) <= :of_a_tag
           AND row_number() OVER (PARTITION BY connector_id, kind ORDER BY occurred_at DESC, index DESC, tag)
               <= :of_a_kind AS kept
      FROM (SELECT connector_id, kind, tag, index, occurred_at, true AS fresh FROM incoming
            UNION ALL
            SELECT connector_id, kind, tag, index, occurred_at, false FROM connector_error AS e
             WHERE e.connector_id IN (SELECT connector_id FROM incoming)
               AND NOT EXISTS (SELECT FROM incoming AS i
                                WHERE (i.connector_id, i.kind, i.tag, i.index)
                                    = (e.connector_id, e.kind, e.tag, e.index))) AS every
), dropped AS (
    DELETE FROM connector_error AS e
     USING ranked AS r
     WHERE NOT r.fresh AND NOT r.kept
       AND (r.connector_id, r.kind, r.tag, r.index) = (e.connector_id, e.kind, e.tag, e.index)
)
INSERT INTO connector_error (connector_id, kind, tag, index, occurred_at, message)
SELECT i.*
  FROM incoming AS i
  JOIN ranked AS r USING (connector_id, kind, tag, index)
 WHERE r.fresh AND r.kept
ON CONFLICT (connector_id, kind, tag, index) DO UPDATE
   SET occurred_at = excluded.occurred_at, message = excluded.message
 WHERE excluded.occurred_at >= connector_error.occurred_at
