-- A connector's rows from :since to :until, of one of three tables or, for steps shorter than an hour, computed of its
-- observations. The outer joins tell an unknown pipeline from an unknown connector, both from one without history.
SELECT p.id IS NOT NULL AS pipeline_known, c.id IS NOT NULL AS connector_known, h.*
  FROM (VALUES (1)) AS always
  LEFT JOIN pipeline AS p ON p.id = :pipeline_id
  LEFT JOIN connector AS c ON c.id = :connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
  LEFT JOIN LATERAL (
       SELECT x.*
         FROM connector_hourly AS x
        WHERE :resolution = 'hourly' AND x.connector_id = c.id AND x.starts_at >= :since AND x.starts_at < :until
       UNION ALL
       SELECT x.*
         FROM connector_daily AS x
        WHERE :resolution = 'daily' AND x.connector_id = c.id AND x.starts_at >= :since AND x.starts_at < :until
       UNION ALL
       SELECT x.*
         FROM connector_rollup(CAST(:since AS timestamptz), CAST(:until AS timestamptz), CAST(:step AS interval),
                               CAST(:keep_every AS interval), ARRAY[c.id]) AS x
        WHERE :resolution = 'raw' AND c.id IS NOT NULL) AS h ON true
 ORDER BY h.starts_at
