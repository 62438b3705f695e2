-- A token with all that explains it, of one snapshot; of the tenant named, or of whatever one for an operator.
--
-- When it completed is not written to it, but in its epoch completed_version never decreases: so between the epoch's
-- start and end (or the newest report) the moment is found by halving, some forty look-ups in the observations' key
-- however many there are, where reading on from the issue would pass through all that were made meanwhile. Times
-- closer than a millisecond are left to the last two look-ups. Packed observations are unpacked as a whole, so of them it
-- begins with what their rows tell by themselves: between the last that ends incomplete and the first that ends complete.
--
-- The rate is measured from the newest of three observations: that of the last minute (before the newest report) in which
-- the connector was last idle, for idle time tells nothing of how fast it is; the oldest of that minute; and, where they
-- are thinned to fewer, the newest one before, which is looked for on the newest day that has one.
--
-- The connector is named by the parameter everywhere, so that each look-up begins with the first column of a key, and
-- none is of another connector.
WITH RECURSIVE k AS MATERIALIZED (
    SELECT o.name AS tenant, a.pipeline, a.pipeline_status, a.table_name, a.connector_name,
           t.issued_at, t.issued_by, t.epoch_number, t.binding, e.label AS epoch_label,
           a.lifecycle, a.progress, a.recorded_at, a.not_reporting_since, a.version, a.position_version,
           a.lifecycle = 'removed' AS removed,
           c.last_epoch AS current_epoch_number,
           CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END AS completed_version,
           e.ended_at IS NOT NULL AS epoch_ended,
           c.completed, c.frontier,
           e.started_at, coalesce(e.ended_at, c.recorded_at) AS until
      FROM completion_token AS t
      JOIN connector AS c ON c.id = t.connector_id
      JOIN connector_activity AS a ON a.connector_id = t.connector_id
      JOIN connector_epoch AS e ON e.connector_id = t.connector_id AND e.number = t.epoch_number
      JOIN tenant AS o ON o.id = a.tenant_id
     WHERE t.connector_id = :connector_id AND t.id = :token_id
       AND (CAST(:tenant_id AS uuid) IS NULL OR o.id = :tenant_id)
     LIMIT 1
), bounds AS MATERIALIZED (
    SELECT greatest(k.started_at, max(p.last_at) FILTER (WHERE p.last_completed_version < k.binding)) AS low,
           least(k.until, min(p.last_at) FILTER (WHERE p.last_completed_version >= k.binding)) AS high
      FROM k
      LEFT JOIN packed_observation AS p
        ON p.connector_id = :connector_id AND p.day >= CAST(k.started_at AT TIME ZONE 'UTC' AS date)
     WHERE k.completed_version >= k.binding
     GROUP BY k.started_at, k.until
), halved (low, high) AS (
    SELECT low, high
      FROM bounds
    UNION ALL
    SELECT CASE WHEN o.below THEN o.recorded_at ELSE h.low END,
           CASE WHEN o.below THEN h.high ELSE h.middle END
      FROM (SELECT low, high, low + (high - low) / 2 AS middle FROM halved WHERE high - low > interval '1 ms') AS h
     CROSS JOIN k
      LEFT JOIN LATERAL (
           SELECT x.recorded_at, x.completed_version < k.binding AS below
             FROM observed AS x
            WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number
              AND x.recorded_at > h.middle AND x.recorded_at <= h.high
              AND x.last_day >= CAST(h.middle AT TIME ZONE 'UTC' AS date)
              AND x.first_day <= CAST(h.high AT TIME ZONE 'UTC' AS date)
            ORDER BY x.recorded_at
            LIMIT 1) AS o ON true
)
SELECT clock_timestamp() AS now, k.*,
       (SELECT x.recorded_at
          FROM observed AS x
         WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number AND x.completed_version < k.binding
           AND x.recorded_at >= h.low AND x.recorded_at <= h.high
           AND x.last_day >= CAST(h.low AT TIME ZONE 'UTC' AS date)
           AND x.first_day <= CAST(h.high AT TIME ZONE 'UTC' AS date)
         ORDER BY x.recorded_at DESC
         LIMIT 1) AS last_incomplete,
       coalesce(
           (SELECT x.recorded_at
              FROM observed AS x
             WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number AND x.completed_version >= k.binding
               AND x.recorded_at >= h.low AND x.recorded_at <= bounds.high
               AND x.last_day >= CAST(h.low AT TIME ZONE 'UTC' AS date)
               AND x.first_day <= CAST(bounds.high AT TIME ZONE 'UTC' AS date)
             ORDER BY x.recorded_at
             LIMIT 1),
           CASE WHEN h.high IS NOT NULL THEN k.until END) AS first_complete,
       b.recorded_at AS earlier_at, b.completed AS earlier_completed
  FROM (VALUES (1)) AS always
  LEFT JOIN k ON true
  LEFT JOIN bounds ON true
  LEFT JOIN LATERAL (SELECT low, high FROM halved ORDER BY high - low LIMIT 1) AS h ON true
  LEFT JOIN LATERAL (
       SELECT greatest((SELECT max(p.day)
                          FROM packed_observation AS p
                         WHERE p.connector_id = :connector_id
                           AND p.day <= CAST((k.recorded_at - interval '1 minute') AT TIME ZONE 'UTC' AS date)),
                       (SELECT CAST(x.recorded_at AT TIME ZONE 'UTC' AS date)
                          FROM observation AS x
                         WHERE x.connector_id = :connector_id AND x.recorded_at < k.recorded_at - interval '1 minute'
                         ORDER BY x.recorded_at DESC
                         LIMIT 1)) AS day) AS newest ON k.completed_version < k.binding AND NOT k.epoch_ended
  LEFT JOIN LATERAL (
       (SELECT x.recorded_at, x.completed
          FROM observed AS x
         WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number AND x.lag_records = 0
           AND x.recorded_at >= k.recorded_at - interval '1 minute' AND x.recorded_at < k.recorded_at
           AND x.last_day >= CAST((k.recorded_at - interval '1 minute') AT TIME ZONE 'UTC' AS date)
           AND x.first_day <= CAST(k.recorded_at AT TIME ZONE 'UTC' AS date)
         ORDER BY x.recorded_at DESC
         LIMIT 1)
       UNION ALL
       (SELECT x.recorded_at, x.completed
          FROM observed AS x
         WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number
           AND x.recorded_at >= k.recorded_at - interval '1 minute' AND x.recorded_at < k.recorded_at
           AND x.last_day >= CAST((k.recorded_at - interval '1 minute') AT TIME ZONE 'UTC' AS date)
           AND x.first_day <= CAST(k.recorded_at AT TIME ZONE 'UTC' AS date)
         ORDER BY x.recorded_at
         LIMIT 1)
       UNION ALL
       (SELECT x.recorded_at, x.completed
          FROM observed AS x
         WHERE x.connector_id = :connector_id AND x.epoch_number = k.epoch_number
           AND x.recorded_at >= greatest(k.started_at, CAST(newest.day AS timestamp) AT TIME ZONE 'UTC')
           AND x.recorded_at < k.recorded_at - interval '1 minute'
           AND x.last_day >= newest.day AND x.first_day <= newest.day
         ORDER BY x.recorded_at DESC
         LIMIT 1)
       ORDER BY recorded_at DESC
       LIMIT 1) AS b ON k.completed_version < k.binding AND NOT k.epoch_ended
