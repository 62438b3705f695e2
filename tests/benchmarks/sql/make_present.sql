-- The present of so many connectors after the last day's observations: each twentieth has stopped reporting with tokens
-- pending, and every hundredth has restarted with one lost.
WITH numbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS number FROM connector
), present AS (
    UPDATE connector AS c
       SET version = ({day_number} + 1) * {per_day}, position_version = ({day_number} + 1) * {per_day},
           completed_version = ({day_number} + 1) * {per_day} - CASE WHEN n.number % 20 = 0 THEN {per_day} / 12 ELSE 1 END,
           recorded_at = CASE WHEN n.number % 20 = 0 THEN timestamptz '{day}' ELSE now() END,
           epoch_number = CASE WHEN n.number % 100 = 5 THEN 2 ELSE 1 END,
           last_epoch = CASE WHEN n.number % 100 = 5 THEN 2 ELSE 1 END,
           epoch_label = CASE WHEN n.number % 100 = 5 THEN 'run-2' ELSE 'run-1' END, interval_seconds = 3600
      FROM numbered AS n
     WHERE n.id = c.id
), opened AS (
    INSERT INTO connector_epoch (connector_id, number, label, first_version)
    SELECT id, 2, 'run-2', {restarted} + 1 FROM numbered WHERE number % 100 = 5
)
UPDATE connector_epoch AS e
   SET ended_at = timestamptz '{day}' + interval '12 hours', completed_version = {restarted} - 1
  FROM numbered AS n
 WHERE n.id = e.connector_id AND n.number % 100 = 5
