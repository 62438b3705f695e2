-- A token beside its connector and epoch: what app/store/sql/check_token.sql reads, for one token.
SELECT clock_timestamp() AS now,
       t.id AS token_id, t.epoch_number, t.binding,
       c.removed_at IS NOT NULL AS removed,
       CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END AS completed_version,
       e.ended_at IS NOT NULL AS epoch_ended
  FROM pipeline AS p
  LEFT JOIN (completion_token AS t
             JOIN connector AS c ON c.id = t.connector_id
             JOIN connector_epoch AS e ON e.connector_id = t.connector_id AND e.number = t.epoch_number)
         ON t.connector_id = :connector_id AND t.id = :token_id AND c.pipeline_id = p.id
 WHERE p.id = :pipeline_id
