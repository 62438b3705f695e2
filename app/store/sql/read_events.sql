-- Tenants' transitions from some place on, a page for each place asked for, in an order that is for good once it is told.
-- A transaction has its number (xid) from its first write on, and what it has written is seen when it has committed, which
-- may be long after later ones have. So nothing is told of the oldest transaction of the whole cluster that has not ended,
-- or of any after that: all before it have ended in this very snapshot, and nothing can come between their transitions any
-- more. A transaction that stays open delays what is recorded after its first write, and loses nothing. Neither the time
-- (at) nor a sequence has an order that can be read to its end so.
-- The index ends before kind, of which nearly every version has one; that is compared in bytes, as the program does. Each
-- place asked for has one row at least, for when it was looked at.
SELECT r.place AS query, clock_timestamp() AS now, k.*
  FROM unnest(CAST(:tenants AS uuid[]), CAST(:xids AS bigint[]), CAST(:connectors AS uuid[]),
              CAST(:versions AS bigint[]), CAST(:kinds AS text[])) WITH ORDINALITY
       AS r (tenant_id, xid, connector_id, version, kind, place)
  LEFT JOIN LATERAL (
       SELECT e.xid, e.connector_id, e.version, e.kind, e.at, e.details,
              p.name AS pipeline, c.table_name, c.connector_name
         FROM connector_event AS e
         JOIN connector AS c ON c.id = e.connector_id
         JOIN pipeline AS p ON p.id = c.pipeline_id
        WHERE e.tenant_id = r.tenant_id AND e.xid < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
          AND (e.xid, e.connector_id, e.version, e.kind COLLATE "C") > (r.xid, r.connector_id, r.version, r.kind)
        ORDER BY e.xid, e.connector_id, e.version, e.kind COLLATE "C"
        LIMIT :page) AS k ON true
 ORDER BY r.place, k.xid, k.connector_id, k.version, k.kind COLLATE "C"
