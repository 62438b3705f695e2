-- A day's completion tokens of so many connectors: one each hour, a second after an observation, which is complete with
-- the third observation after that. Those of a connector's that restarts go on in the next epoch.
INSERT INTO completion_token (connector_id, id, epoch_number, binding, issued_at, issued_by)
SELECT c.id,
       CAST(encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
            substring(int8send(CAST(extract(epoch FROM t.issued_at) * 1000 AS bigint)) FROM 3) FROM 1 FOR 6),
            52, 1), 53, 1), 'hex') AS uuid),
       CASE WHEN c.number % 100 = 5 AND t.n >= {restarted} THEN 2 ELSE 1 END,
       t.n + 3, t.issued_at, CASE hour % 2 WHEN 0 THEN 'loader' ELSE 'dbt' END
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM connector) AS c
 CROSS JOIN generate_series(0, 23) AS hour
 CROSS JOIN LATERAL (
       SELECT {day_number} * {per_day} + hour * {per_day} / 24 AS n,
              timestamptz '{day}' + (hour * {per_day} / 24 + c.number / 1000.0) * interval '1 day' / {per_day}
              + interval '1 second' AS issued_at
       ) AS t
