-- The runs of a page, by as few columns as can be; run_summaries.sql sums them up.
SELECT run_id, toUnixTimestamp64Micro(min(ts)) AS started_us
FROM events
WHERE project_id = {project_id:String}
  AND $until
  AND $matching
GROUP BY run_id
HAVING started_us >= {from_us:Int64}
   AND (started_us, run_id) < ({before_us:Int64}, {before_id:String})
   AND $status_condition
ORDER BY started_us DESC, run_id DESC
LIMIT {limit:UInt32}
