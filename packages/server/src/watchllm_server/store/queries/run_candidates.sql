-- Runs that have events in a stretch of time, by the first of those, the nearest first.
SELECT run_id, toUnixTimestamp64Micro(min(ts)) AS first_us
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
GROUP BY run_id
HAVING $beside
ORDER BY first_us $direction, run_id $direction
LIMIT {limit:UInt32}
