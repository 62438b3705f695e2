-- A token: what app/store/sql/issue_token.sql inserts, for one connector. No collector is notified, which would make
-- the commits of a server that issues one token a statement wait for one another.
WITH target AS (
    SELECT p.status AS pipeline_status, c.id AS connector_id, c.version, c.position_version, c.epoch_number, c.recording
      FROM pipeline AS p
      LEFT JOIN connector AS c ON c.id = :connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
     WHERE p.id = :pipeline_id
), issued AS (
    INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)
    SELECT connector_id,
           CAST(encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
                substring(int8send(CAST(extract(epoch FROM now()) * 1000 AS bigint)) FROM 3) FROM 1 FOR 6),
                52, 1), 53, 1), 'hex') AS uuid),
           epoch_number,
           CASE recording WHEN 'sampled' THEN version + 2 ELSE position_version END,
           now(), 'anyone'
      FROM target
     WHERE epoch_number > 0 AND pipeline_status <> 'Stopped'
    RETURNING id
)
SELECT target.pipeline_status, target.connector_id, issued.id AS token_id
  FROM target
  LEFT JOIN issued ON true
