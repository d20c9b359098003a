-- The runs of a page, by as few columns as can be; run_summaries.sql sums them up.
SELECT run_id, toUnixTimestamp64Micro(min(ts)) AS started_us, $key AS sort_key
FROM events
WHERE project_id = {project_id:String}
  AND $until
  AND $matching
GROUP BY run_id
HAVING started_us >= {from_us:Int64}
   AND started_us < {until_us:Int64}
   AND $after
   AND $whole
ORDER BY $order
LIMIT {limit:UInt32}
