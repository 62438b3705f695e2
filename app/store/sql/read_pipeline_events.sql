-- A page of a pipeline's transitions in a span of time, in the order of read_events.sql and, as there, none that another
-- could still come before; one more than the page tells whether there are more. Each connector's are found by the index of
-- their times. The outer join tells an unknown pipeline from one without transitions. What has no number, being older than
-- they are or restored from a backup, comes first.
SELECT p.id IS NOT NULL AS pipeline_known, k.*
  FROM (VALUES (1)) AS always
  LEFT JOIN pipeline AS p ON p.id = :pipeline_id
  LEFT JOIN LATERAL (
       SELECT e.xid, e.connector_id, e.version, e.kind, e.at, e.details,
              p.name AS pipeline, c.table_name, c.connector_name
         FROM connector AS c
        CROSS JOIN LATERAL (SELECT coalesce(x.xid, 0) AS xid, x.connector_id, x.version, x.kind, x.at, x.details
                              FROM connector_event AS x
                             WHERE x.connector_id = c.id AND x.at >= :since AND x.at < :until
                            OFFSET 0) AS e
        WHERE c.pipeline_id = p.id
          AND (CAST(:table AS text) IS NULL OR c.table_name = CAST(:table AS text))
          AND (CAST(:connector AS text) IS NULL OR c.connector_name = CAST(:connector AS text))
          AND (CAST(:kinds AS text[]) IS NULL OR e.kind = ANY (CAST(:kinds AS text[])))
          AND e.xid < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
          AND (e.xid, e.connector_id, e.version, e.kind COLLATE "C")
              > (CAST(:xid AS bigint), CAST(:connector_id AS uuid), CAST(:version AS bigint), CAST(:after_kind AS text))
        ORDER BY e.xid, e.connector_id, e.version, e.kind COLLATE "C"
        LIMIT CAST(:limit AS bigint) + 1) AS k ON true
 ORDER BY k.xid, k.connector_id, k.version, k.kind COLLATE "C"
