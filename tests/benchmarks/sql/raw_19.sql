-- Which connectors have the most bad records? By the counters of observations, which may begin again.
SELECT pipeline, table_name, connector_name, sum(bad) AS bad,
       round(1000000 * sum(bad) / nullif(sum(records), 0)) AS per_million
  FROM (SELECT pipeline, table_name, connector_name, recorded_at,
               num_parse_errors - CASE WHEN num_parse_errors < lag(num_parse_errors) OVER w THEN 0
                                       ELSE lag(num_parse_errors) OVER w END AS bad,
               total_records - CASE WHEN total_records < lag(total_records) OVER w THEN 0
                                    ELSE lag(total_records) OVER w END AS records
          FROM reporting.connector_history
         WHERE recorded_at >= timestamptz '2025-03-03' - interval '1 hour' AND recorded_at < '2025-03-10'
           AND day >= date '2025-03-03' - 1 AND day < '2025-03-10'
        WINDOW w AS (PARTITION BY connector_id ORDER BY version)) AS o
 WHERE recorded_at >= '2025-03-03'
 GROUP BY pipeline, table_name, connector_name
HAVING sum(bad) > 0
 ORDER BY per_million DESC
