-- On which days did a connector miss 99%? By observations: each holds until the next, or until three reports are
-- missing, and is cut at midnight. Removals are not minded.
WITH spans AS (
    SELECT connector_id, pipeline, table_name, connector_name, lifecycle IN ('running', 'paused') AS available,
           greatest(recorded_at, '2025-03-03') AS low,
           coalesce(lead(recorded_at) OVER (PARTITION BY connector_id ORDER BY version), '2025-03-10') AS high,
           recorded_at + interval '10 seconds' + 3 * interval_seconds * interval '1 second' AS known_until
      FROM reporting.connector_history
     WHERE recorded_at >= timestamptz '2025-03-03' - interval '1 hour' AND recorded_at < '2025-03-10'
       AND day >= date '2025-03-03' - 1 AND day < '2025-03-10'
), pieces AS (
    SELECT *, date_trunc('day', low) AS day
      FROM spans
     WHERE high <= date_trunc('day', low) + interval '1 day'
    UNION ALL
    SELECT connector_id, pipeline, table_name, connector_name, available,
           greatest(low, day), least(high, day + interval '1 day'), known_until, day
      FROM spans
     CROSS JOIN LATERAL generate_series(
           date_trunc('day', low), high - interval '1 microsecond', interval '1 day') AS d (day)
     WHERE high > date_trunc('day', low) + interval '1 day'
), days AS (
    SELECT CAST(day AS date) AS day, pipeline, table_name, connector_name,
           coalesce(sum(date_part('epoch', least(high, greatest(low, known_until)) - low)) FILTER (WHERE available), 0)
           / sum(date_part('epoch', high - low)) AS share
      FROM pieces
     WHERE low < high
     GROUP BY connector_id, pipeline, table_name, connector_name, day
)
SELECT day, pipeline, table_name, connector_name, round(CAST(100 * share AS numeric), 2) AS percent
  FROM days
 WHERE share < 0.99
 ORDER BY day
