-- One statement, so that the token is bound to the version of the snapshot in which it is inserted, and so that it
-- commits by itself: it takes no lock that a report waits for. The id is a UUIDv7 (RFC 9562 §5.7) of the database's
-- clock, by which the partitions are cut: the time goes over the front of a random UUIDv4, whose version becomes 7.
-- The notification wakes a collector, so that it measures at once; a process sends it once per version (:hinted is
-- the version it last sent it for), because commits with a notification wait for one another.
WITH target AS (
    SELECT p.status AS pipeline_status, c.id AS connector_id, c.version, c.position_version, c.epoch_number, c.recording
      FROM pipeline AS p
      LEFT JOIN connector AS c ON c.id = :connector_id AND c.pipeline_id = p.id AND c.removed_at IS NULL
     WHERE p.id = :pipeline_id
), issued AS (
    INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)
    SELECT connector_id,
           encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
                  substring(int8send((extract(epoch FROM now()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
                  52, 1), 53, 1), 'hex')::uuid,
           epoch_number,
           CASE recording WHEN 'sampled' THEN version + CAST(:sampled_ahead AS int) ELSE position_version END,
           now(),
           :issued_by
      FROM target
     WHERE epoch_number > 0 AND pipeline_status <> 'Stopped'
    RETURNING id
)
SELECT target.pipeline_status, target.connector_id, target.version, issued.id AS token_id,
       CASE WHEN issued.id IS NOT NULL AND target.version > :hinted
            THEN pg_notify('tidemark_token', target.connector_id::text) END
  FROM target
  LEFT JOIN issued ON true
