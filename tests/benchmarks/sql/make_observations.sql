-- A day's observations of so many connectors, for COPY: one every few minutes, at a pace and with lags that differ; every
-- tenth connector has three components, every fiftieth stalls in the afternoon, every hundredth fails in the evening, and
-- every hundredth restarts on the last day.
COPY (
    SELECT c.id, at, n + 1, CASE WHEN c.number % 100 = 5 AND n >= {restarted} THEN 2 ELSE 1 END,
           CASE WHEN c.number % 10 = 0 THEN jsonb_build_object('0', moved, '1', moved + 7, '2', moved + 11)
                ELSE to_jsonb(moved) END,
           CASE WHEN c.number % 10 = 0 THEN jsonb_build_object('0', reached, '1', reached + 7, '2', reached + 11)
                ELSE to_jsonb(reached) END,
           n, (moved - reached) * CASE WHEN c.number % 10 = 0 THEN 3 ELSE 1 END,
           CASE WHEN stalls THEN 3600 ELSE (n * 7 + c.number) % 60 END, 412 * moved, moved, moved - reached,
           412 * (moved - reached), 0, n / 100, false, NULL, CASE WHEN fails THEN 'the disk is full' END,
           CASE WHEN fails THEN 'Unhealthy' ELSE 'Healthy' END, false, false,
           CASE WHEN stalls THEN 'stalled' WHEN moved = reached THEN 'idle' ELSE 'moving' END, 60
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM connector) AS c
     CROSS JOIN generate_series(0, {per_day} - 1) AS of_day
     CROSS JOIN LATERAL (
           SELECT {day_number} * {per_day} + of_day AS n,
                  timestamptz '{day}' + (of_day + c.number / 1000.0) * interval '1 day' / {per_day} AS at
           ) AS p
     CROSS JOIN LATERAL (
           SELECT (c.number % 50 = 1) AND date_part('hour', at) BETWEEN 12 AND 16 AS stalls,
                  (c.number % 100 = 2) AND date_part('hour', at) >= 20 AS fails,
                  n * (c.number % 90 + 10) AS moved
           ) AS s
     CROSS JOIN LATERAL (
           SELECT greatest(0, moved - CASE WHEN stalls THEN 100000 ELSE (n * 31 + c.number) % 5 * 40 END) AS reached
           ) AS r
     ORDER BY at
) TO STDOUT
