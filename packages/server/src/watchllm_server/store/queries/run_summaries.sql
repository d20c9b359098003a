-- No event of these runs is earlier than `from_us`, so that less has to be read.
SELECT $summary
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND run_id IN {run_ids:Array(String)}
GROUP BY run_id
