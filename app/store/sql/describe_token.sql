-- A token as an operator asks for it, of whatever tenant; its columns are those of check_token.sql, and its address.
SELECT o.name AS tenant, p.name AS pipeline, c.table_name, c.connector_name, t.issued_at, t.issued_by,
       t.epoch_number, t.binding,
       c.removed_at IS NOT NULL AS removed,
       c.last_epoch AS current_epoch_number,
       CASE WHEN e.ended_at IS NULL THEN c.completed_version ELSE e.completed_version END AS completed_version,
       e.ended_at IS NOT NULL AS epoch_ended
  FROM completion_token AS t
  JOIN connector AS c ON c.id = t.connector_id
  JOIN connector_epoch AS e ON e.connector_id = t.connector_id AND e.number = t.epoch_number
  JOIN pipeline AS p ON p.id = c.pipeline_id
  JOIN tenant AS o ON o.id = p.tenant_id
 WHERE t.connector_id = :connector_id AND t.id = :token_id
