-- After the database was restored to an earlier point: every connector's next version is one that the history lost since
-- cannot have had. A report measured then names a version that no longer comes, and is refused as stale; had the numbers
-- been given again, it could have been taken for one measured now, and a token could complete too early. Tokens issued
-- before that point are complete when the next report is: it is measured later than they were issued.
--
-- Versions go on from the microseconds since 1970, so that they are new ones too when the same point is restored once
-- more: nobody reports a connector a million times a second. They are exact in JSON, below 2^53, for two hundred years.
--
-- A synchronous connector's record is never stale, but the restored one is. Until its next report with a position,
-- tokens on it wait for two reports, as on a sampled one.
UPDATE connector
   SET version = greatest(version + 1, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)),
       recording = 'sampled'
