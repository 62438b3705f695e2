-- Every row that belongs to a tenant, but for what is written a moment later.
WITH c AS (SELECT * FROM connector WHERE tenant_id = :tenant)
SELECT 'api_key' AS kind, to_jsonb(k) - 'last_used_at' AS contents FROM api_key AS k WHERE tenant_id = :tenant
UNION ALL SELECT 'audit', to_jsonb(a) FROM audit_event AS a WHERE tenant_id = :tenant AND action <> 'denied'
UNION ALL SELECT 'pipeline', to_jsonb(p) FROM pipeline AS p WHERE tenant_id = :tenant
UNION ALL SELECT 'connector', to_jsonb(c) FROM c
UNION ALL SELECT 'epoch', to_jsonb(x) FROM connector_epoch AS x WHERE connector_id IN (SELECT id FROM c)
UNION ALL SELECT 'error', to_jsonb(x) FROM connector_error AS x WHERE connector_id IN (SELECT id FROM c)
UNION ALL SELECT 'token', to_jsonb(x) FROM completion_token AS x WHERE connector_id IN (SELECT id FROM c)
UNION ALL SELECT 'observation', to_jsonb(x) FROM observation AS x WHERE connector_id IN (SELECT id FROM c)
UNION ALL SELECT 'event', to_jsonb(x) FROM connector_event AS x WHERE connector_id IN (SELECT id FROM c)
ORDER BY kind, contents
