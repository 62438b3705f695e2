-- Where the connectors stand that a process's waiters wait for, all in one statement. Nothing is missing from the answer: a
-- connector that is unknown or removed is in no epoch.
SELECT r.id AS connector_id, COALESCE(c.epoch_number, 0) AS epoch_number,
       COALESCE(c.completed_version, 0) AS completed_version
  FROM unnest(CAST(:connectors AS uuid[])) AS r (id)
  LEFT JOIN connector AS c ON c.id = r.id
