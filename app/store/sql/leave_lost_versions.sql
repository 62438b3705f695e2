-- After the database was restored to an earlier point: every connector's next version is one that the history lost since
-- cannot have had. A report measured then names a version that no longer comes, and is refused as stale; had the numbers
-- been given again, it could have been taken for one measured now, and a token could complete too early. Tokens issued
-- before that point are complete when the next report is: it is measured later than they were issued.
--
-- A synchronous connector's record is never stale, but the restored one is. Until its next report with a position,
-- tokens on it wait for two reports, as on a sampled one.
UPDATE connector
   SET version = version + :lost_at_most,
       recording = 'sampled'
