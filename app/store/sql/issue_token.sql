-- One statement, so that each token is bound to the version of the snapshot in which it is inserted, and so that it
-- commits by itself: it takes no lock that a report waits for. The id is a UUIDv7 (RFC 9562 §5.7) of the database's
-- clock, by which the partitions are cut: the time goes over the front of a random UUIDv4, whose version becomes 7.
-- The notification wakes a collector, so that it measures at once; a process sends it once per version (hinted is
-- the version it last sent it for), because commits with a notification wait for one another.
WITH target AS MATERIALIZED (
    SELECT r.place, r.issued_by, r.hinted, p.status AS pipeline_status,
           c.id AS connector_id, c.version, c.position_version, c.epoch_number, c.recording,
           CASE WHEN c.epoch_number > 0 AND p.status <> 'Stopped' THEN
               encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
                      substring(int8send((extract(epoch FROM now()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
                      52, 1), 53, 1), 'hex')::uuid
           END AS token_id
      FROM unnest(CAST(:connectors AS uuid[]), CAST(:pipelines AS uuid[]), CAST(:issued_by AS text[]),
                  CAST(:hinted AS bigint[])) WITH ORDINALITY AS r (connector_id, pipeline_id, issued_by, hinted, place)
      LEFT JOIN pipeline AS p ON p.id = r.pipeline_id
      LEFT JOIN connector AS c ON c.id = r.connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
), issued AS (
    INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)
    SELECT connector_id, token_id,
           epoch_number,
           CASE recording WHEN 'sampled' THEN version + CAST(:sampled_ahead AS int) ELSE position_version END,
           now(), issued_by
      FROM target
     WHERE token_id IS NOT NULL
)
SELECT pipeline_status, connector_id, version, token_id,
       CASE WHEN token_id IS NOT NULL AND version > hinted THEN pg_notify('tidemark_token', connector_id::text) END
  FROM target
 ORDER BY place
