-- A day's transitions of so many connectors: each has been unwell for an hour, every hundredth fails in the evening and
-- recovers at midnight, and every hundredth restarts on the last day.
INSERT INTO connector_event (connector_id, version, kind, at, details, tenant_id)
SELECT c.id, {day_number} * {per_day} + e.of_day + 1, e.kind,
       timestamptz '{day}' + (e.of_day + c.number / 1000.0) * interval '1 day' / {per_day}, e.details, c.tenant_id
  FROM (SELECT id, tenant_id, row_number() OVER (ORDER BY id) AS number FROM connector) AS c
 CROSS JOIN LATERAL (VALUES
       (c.number % 270, 'health', '{{"status": "Unhealthy"}}'::jsonb, true),
       (c.number % 270 + 14, 'health', '{{"status": "Healthy"}}', true),
       (20 * {per_day} / 24 + 1, 'failed', '{{"error": "the disk is full"}}', c.number % 100 = 2),
       ({per_day} - 1, 'recovered', '{{}}', c.number % 100 = 2),
       ({restarted} - {day_number} * {per_day}, 'epoch', '{{"number": 2, "label": "run-2"}}',
        c.number % 100 = 5 AND {restarted} / {per_day} = {day_number})
       ) AS e (of_day, kind, details, happens)
 WHERE e.happens
