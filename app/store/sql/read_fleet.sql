-- A page of a tenant's connectors, and one more, by which is known whether there are more. Every member is made into JSON
-- where it is read: a thousand rows then cost the client next to nothing. First all that match are ranked, by what is
-- cheap to read of each; the rest is read of the page alone. OFFSET 0 keeps the lateral query apart: however few matches
-- the planner expects, it goes from the tenant's pipelines to their connectors by the index.
WITH page AS (
    SELECT a.*
      FROM pipeline AS p
     CROSS JOIN LATERAL (
           SELECT a.connector_id, a.rank, a.pipeline, a.table_name, a.connector_name
             FROM connector_activity AS a
            WHERE a.pipeline_id = p.id
              AND a.lifecycle = ANY (CAST(:lifecycle AS text[]))
              AND (CAST(:progress AS text[]) IS NULL OR a.progress = ANY (CAST(:progress AS text[])))
              AND (CAST(:health AS text[]) IS NULL OR coalesce(a.health_status, 'none') = ANY (CAST(:health AS text[])))
              AND (CAST(:min_lag_records AS numeric) IS NULL OR a.lag_records >= CAST(:min_lag_records AS numeric))
              AND (CAST(:min_lag_seconds AS float8) IS NULL OR a.lag_seconds >= CAST(:min_lag_seconds AS float8))
              AND (CAST(:name_prefix AS text) IS NULL OR starts_with(a.endpoint_name, CAST(:name_prefix AS text)))
           OFFSET 0
           ) AS a
     WHERE p.tenant_id = :tenant_id
       AND (CAST(:pipeline AS text[]) IS NULL OR p.name = ANY (CAST(:pipeline AS text[])))
       AND (a.rank, a.pipeline COLLATE "C", a.table_name COLLATE "C", a.connector_name COLLATE "C")
           > (CAST(:after_rank AS int), CAST(:after_pipeline AS text), CAST(:after_table AS text),
              CAST(:after_connector AS text))
     ORDER BY a.rank, a.pipeline COLLATE "C", a.table_name COLLATE "C", a.connector_name COLLATE "C"
     LIMIT CAST(:limit AS bigint) + 1
)
SELECT page.rank, page.pipeline, page.table_name, page.connector_name, CAST(row_to_json(told) AS text) AS member
  FROM page
  JOIN connector_activity AS a USING (connector_id)
 CROSS JOIN LATERAL (
       SELECT a.health_status AS status, left(a.health_description, :max_text) AS description
       ) AS health
 CROSS JOIN LATERAL (
       SELECT a.pipeline, a.pipeline_status, a.table_name AS "table", a.connector_name AS connector, a.endpoint_name,
              a.lifecycle, a.progress,
              CASE WHEN a.health_status IS NOT NULL THEN row_to_json(health) END AS health,
              left(a.fatal_error, :max_text) AS fatal_error,
              a.lag_records, CAST(round(CAST(a.lag_seconds AS numeric), 3) AS float8) AS lag_seconds,
              floor(a.report_age_seconds) AS report_age_seconds,
              to_char(a.recorded_at AT TIME ZONE 'UTC', :rfc3339) AS recorded_at,
              a.interval_seconds,
              to_char(a.not_reporting_since AT TIME ZONE 'UTC', :rfc3339) AS not_reporting_since,
              a.version, a.epoch_label AS epoch, a.epoch_number, a.completed_version,
              a.total_records, a.buffered_records, a.num_parse_errors, a.num_transport_errors,
              to_char(a.removed_at AT TIME ZONE 'UTC', :rfc3339) AS removed_at
       ) AS told
 ORDER BY page.rank, page.pipeline COLLATE "C", page.table_name COLLATE "C", page.connector_name COLLATE "C"
