-- The days since :since that are over and to be rolled up (again), oldest first: one of their hours was, later than they.
SELECT date_trunc('day', h.starts_at, 'UTC') AS starts_at
  FROM rollup AS h
  LEFT JOIN rollup AS d ON d.grain = 'day' AND d.starts_at = date_trunc('day', h.starts_at, 'UTC')
 WHERE h.grain = 'hour' AND h.starts_at >= date_trunc('day', CAST(:since AS timestamptz), 'UTC')
   AND h.starts_at < date_trunc('day', now() - CAST(:settled_after AS interval), 'UTC')
 GROUP BY 1, d.computed_at
HAVING d.computed_at IS NULL OR d.computed_at < max(h.computed_at)
 ORDER BY 1
