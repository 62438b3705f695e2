-- How many records did each pipeline take in, per day? By the counters of observations, which may begin again.
SELECT day, sum(delta) FILTER (WHERE pipeline = 'logs') AS logs, sum(delta) FILTER (WHERE pipeline = 'shop') AS shop
  FROM (SELECT pipeline, recorded_at, CAST(recorded_at AS date) AS day,
               total_records - CASE WHEN total_records < lag(total_records) OVER w THEN 0
                                    ELSE lag(total_records) OVER w END AS delta
          FROM reporting.connector_history
         WHERE recorded_at >= timestamptz '2025-03-03' - interval '1 hour' AND recorded_at < '2025-03-10'
           AND day >= date '2025-03-03' - 1 AND day < '2025-03-10'
        WINDOW w AS (PARTITION BY connector_id ORDER BY version)) AS o
 WHERE recorded_at >= '2025-03-03'
 GROUP BY day
 ORDER BY day
