-- Where those of the connectors stand that a process's waiters wait for which have got so far, or have left the epoch: all
-- in one statement. Mostly none has, and ten thousand rows would keep the process from anything else for tens of
-- milliseconds. NULL: wherever that one stands. A connector that is unknown or removed is in no epoch.
SELECT r.id AS connector_id, COALESCE(c.epoch_number, 0) AS epoch_number,
       COALESCE(c.completed_version, 0) AS completed_version
  FROM unnest(CAST(:connectors AS uuid[]), CAST(:epochs AS bigint[]), CAST(:bindings AS bigint[]))
       AS r (id, epoch_number, binding)
  LEFT JOIN connector AS c ON c.id = r.id
 WHERE COALESCE(c.epoch_number, 0) IS DISTINCT FROM r.epoch_number OR c.completed_version >= r.binding
