-- All that is recorded of a tenant's connectors has happened so much earlier.
WITH c AS (
    UPDATE connector
       SET recorded_at = recorded_at - CAST(:span AS interval),
           observed_at = observed_at - CAST(:span AS interval),
           removed_at = removed_at - CAST(:span AS interval),
           frontier = (SELECT coalesce(jsonb_agg(jsonb_build_array(
                                  f.checkpoint -> 0,
                                  CAST(f.checkpoint ->> 1 AS timestamptz) - CAST(:span AS interval),
                                  f.checkpoint -> 2) ORDER BY f.place), '[]')
                         FROM jsonb_array_elements(frontier) WITH ORDINALITY AS f (checkpoint, place))
     WHERE tenant_id = :tenant
    RETURNING id
), e AS (
    UPDATE connector_epoch
       SET started_at = started_at - CAST(:span AS interval), ended_at = ended_at - CAST(:span AS interval)
     WHERE connector_id IN (SELECT id FROM c)
), t AS (
    UPDATE completion_token SET issued_at = issued_at - CAST(:span AS interval) WHERE connector_id IN (SELECT id FROM c)
)
UPDATE observation SET recorded_at = recorded_at - CAST(:span AS interval) WHERE connector_id IN (SELECT id FROM c)
