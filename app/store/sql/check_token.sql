-- Token, connector and epoch in one snapshot: a token is judged by its own epoch, whose last completed_version is
-- frozen in connector_epoch once it has ended and stands in the hot row until then. A null token is none at all, and only
-- its pipeline is looked up; a null pipeline is any of the tenant's. LIMIT keeps the lateral query apart: each token is found by its keys in the one partition of
-- its day, where a planner without statistics would rather read all tokens of the day and all epochs, and join them.
SELECT clock_timestamp() AS now, p.id IS NOT NULL AS pipeline_known, k.*
  FROM unnest(CAST(:tenants AS uuid[]), CAST(:pipelines AS uuid[]), CAST(:connectors AS uuid[]), CAST(:tokens AS uuid[]))
       WITH ORDINALITY AS r (tenant_id, pipeline_id, connector_id, token_id, place)
  LEFT JOIN pipeline AS p ON p.id = r.pipeline_id
  LEFT JOIN LATERAL (
       SELECT t.id AS token_id, t.epoch_number, t.binding,
              c.removed_at IS NOT NULL AS removed,
              c.last_epoch AS current_epoch_number,
              CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END AS completed_version,
              e.ended_at IS NOT NULL AS epoch_ended
         FROM completion_token AS t
         JOIN connector AS c ON c.id = t.connector_id
         JOIN connector_epoch AS e ON e.connector_id = t.connector_id AND e.number = t.epoch_number
        WHERE t.connector_id = r.connector_id AND t.id = r.token_id AND c.tenant_id = r.tenant_id
          AND (c.pipeline_id = p.id OR r.pipeline_id IS NULL)
        LIMIT 1) AS k ON true
 ORDER BY r.place
