-- Which connectors were stalled longest in the week? By observations: each holds until the next, or until three reports
-- are missing. Removals are not minded.
SELECT pipeline, table_name, connector_name, round(sum(date_part('epoch', until - since)) / 60) AS stalled_minutes
  FROM (SELECT pipeline, table_name, connector_name, progress, greatest(recorded_at, '2025-03-03') AS since,
               least(lead(recorded_at) OVER (PARTITION BY connector_id ORDER BY version), '2025-03-10',
                     recorded_at + interval '10 seconds' + 3 * interval_seconds * interval '1 second') AS until
          FROM reporting.connector_history
         WHERE recorded_at >= timestamptz '2025-03-03' - interval '1 hour' AND recorded_at < '2025-03-10'
           AND day >= date '2025-03-03' - 1 AND day < '2025-03-10') AS o
 WHERE progress = 'stalled' AND since < until
 GROUP BY pipeline, table_name, connector_name
HAVING sum(date_part('epoch', until - since)) > 0
 ORDER BY stalled_minutes DESC
