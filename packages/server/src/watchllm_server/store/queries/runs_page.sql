-- The runs of a page, by as few columns as can be; run_summaries.sql sums them up. Of a run that began
-- before the stretch of time only the later events are seen here: run_beginnings.sql tells it apart.
SELECT run_id, toUnixTimestamp64Micro(min(ts)) AS started_us, $key AS sort_key
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND $until
  AND $matching
GROUP BY run_id
HAVING started_us < {until_us:Int64}
   AND $after
   AND $whole
ORDER BY $order
LIMIT {limit:UInt32}
