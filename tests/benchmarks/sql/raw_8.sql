-- How far behind was a connector, hour by hour? By its observations, some seventy, which its key finds: no rollup is faster.
SELECT date_trunc('hour', recorded_at) AS starts_at, max(lag_records) AS lag_records_max,
       round(max(lag_seconds) / 60) AS lag_minutes_max
  FROM reporting.connector_history
 WHERE pipeline = 'shop' AND table_name = 'orders' AND connector_name = 'billing'
   AND recorded_at >= '2025-03-05 11:00Z' AND recorded_at < '2025-03-05 16:00Z' AND day = '2025-03-05'
 GROUP BY date_trunc('hour', recorded_at)
 ORDER BY starts_at
