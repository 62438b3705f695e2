-- The hours since :since that are to be rolled up (again), oldest first, each for one of these reasons:
-- it never was, though something is known of it: observed in it, or in the day before, for which an observation may stand;
-- it had not ended for long, so that reports may have been under way (those of the last :fresh_for are left alone);
-- observations have come since; tokens were pending, and it has become twice as old.
-- Nothing is remembered but what was done: whoever is interrupted, or was away for days, finds here what is left to do.
SELECT h.starts_at
  FROM (SELECT starts_at, starts_at + interval '1 hour' AS ends_at
          FROM generate_series(date_trunc('hour', CAST(:since AS timestamptz), 'UTC'), now(), interval '1 hour')
               AS s (starts_at)) AS h
  LEFT JOIN rollup AS r ON r.grain = 'hour' AND r.starts_at = h.starts_at
  LEFT JOIN LATERAL (SELECT r.computed_at >= h.ends_at + CAST(:settled_after AS interval) AS settled) AS s ON true
  LEFT JOIN (SELECT date_bin('1 hour', recorded_at, timestamptz '2000-01-01 00:00Z') AS starts_at,
                    count(*) AS observations
               FROM observation
              WHERE recorded_at >= CAST(:since AS timestamptz) - interval '1 day'
              GROUP BY 1) AS o ON o.starts_at > h.starts_at - interval '1 day' AND o.starts_at <= h.starts_at
 GROUP BY h.starts_at, h.ends_at, r.computed_at, r.observations, r.tokens_pending, s.settled
HAVING CASE WHEN r.computed_at IS NULL THEN count(o.observations) > 0
            WHEN s.settled THEN coalesce(sum(o.observations) FILTER (WHERE o.starts_at = h.starts_at), 0) > r.observations
                                OR (r.tokens_pending > 0 AND now() - h.ends_at > 2 * (r.computed_at - h.ends_at))
            ELSE r.computed_at < now() - CAST(:fresh_for AS interval)
       END
 ORDER BY h.starts_at
