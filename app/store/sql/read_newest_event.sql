-- The place of the tenant's newest transition that may be told of (see read_events.sql), behind which a stream begins; and
-- the first transaction of whose own nothing may be told yet. The stream does not begin there: what a transaction leaves
-- behind has its number for good, but the numbers of those that left nothing are given again after a crash.
SELECT clock_timestamp() AS now, s.horizon, k.*
  FROM (SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon) AS s
  LEFT JOIN LATERAL (
       SELECT xid, connector_id, version, kind
         FROM connector_event
        WHERE tenant_id = :tenant AND xid < s.horizon
        ORDER BY xid DESC, connector_id DESC, version DESC, kind COLLATE "C" DESC
        LIMIT 1) AS k ON true
