-- The hours since :since that are to be rolled up (again), newest first, each for one of these reasons:
-- it never was, though something is known of it: observed in it, or within a day before, for which an observation may stand,
-- or tokens issued in it, as may happen while nobody reports (ids as in connector_rollup);
-- it had not ended for long, so that reports may have been under way (those of the last :fresh_for are left alone);
-- observations have come since, in it or in an hour before: what follows them has been compared with others;
-- tokens were pending, and it has become twice as old.
-- Neither of the last two for an hour before :again_since: what it is to be compared with may be dropped already.
-- Nothing is remembered but what was done: whoever is interrupted, or was away for days, finds here what is left to do. Newest
-- first, so that the hour of late observations stays one until all those behind it are done.
SELECT f.starts_at
  FROM (SELECT e.*, bool_or(e.grown) OVER (ORDER BY e.starts_at) AS late
          FROM (SELECT h.starts_at, h.ends_at, r.computed_at, r.tokens_pending, count(o.observations) > 0 AS known,
                       r.computed_at >= h.ends_at + CAST(:settled_after AS interval) AS settled,
                       coalesce(sum(o.observations) FILTER (WHERE o.starts_at = h.starts_at), 0)
                       > coalesce(r.observations, 0)
                       AND (r.computed_at IS NULL OR h.starts_at >= :again_since) AS grown
                  FROM (SELECT starts_at, starts_at + interval '1 hour' AS ends_at
                          FROM generate_series(date_trunc('hour', CAST(:since AS timestamptz), 'UTC'), now(),
                                               interval '1 hour') AS s (starts_at)) AS h
                  LEFT JOIN rollup AS r ON r.grain = 'hour' AND r.starts_at = h.starts_at
                  LEFT JOIN (SELECT date_bin('1 hour', recorded_at, timestamptz '2000-01-01 00:00Z') AS starts_at,
                                    count(*) AS observations
                               FROM (SELECT recorded_at FROM observation
                                     UNION ALL
                                     SELECT unnest(p.recorded_at)
                                       FROM packed_observation AS p
                                      WHERE p.day >= CAST(CAST(:since AS timestamptz) AT TIME ZONE 'UTC' AS date) - 1
                                    ) AS every
                              WHERE recorded_at >= date_trunc('hour', CAST(:since AS timestamptz), 'UTC')
                                                   - interval '1 day'
                              GROUP BY 1) AS o
                    ON o.starts_at >= h.starts_at - interval '1 day' AND o.starts_at <= h.starts_at
                 GROUP BY h.starts_at, h.ends_at, r.computed_at, r.observations, r.tokens_pending) AS e) AS f
  LEFT JOIN LATERAL (
       SELECT array_agg(CAST(encode(substring(int8send(CAST(extract(epoch FROM b.at) * 1000 AS bigint)) FROM 3)
                                    || decode(repeat('00', 10), 'hex'), 'hex') AS uuid) ORDER BY b.at) AS id
         FROM (VALUES (f.starts_at), (f.ends_at)) AS b (at)) AS bounds ON true
 WHERE CASE WHEN f.computed_at IS NULL
            THEN f.known OR EXISTS (SELECT FROM completion_token AS t
                                     WHERE t.id >= bounds.id[1] AND t.id < bounds.id[2])
            WHEN f.settled THEN f.starts_at >= :again_since
                                AND (f.late
                                     OR (f.tokens_pending > 0
                                         AND now() - f.ends_at > 2 * (f.computed_at - f.ends_at)))
            ELSE f.computed_at < now() - CAST(:fresh_for AS interval)
       END
 ORDER BY f.starts_at DESC
