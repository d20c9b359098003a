-- The page of runs is chosen first, by the fewest columns; only its runs are summed up.
SELECT $summary
FROM events
WHERE project_id = {project_id:String}
  AND run_id IN
  (
      SELECT run_id
      FROM events
      WHERE project_id = {project_id:String}
      GROUP BY run_id
      HAVING countIf($filter) > 0
         AND min(ts) >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
         AND min(ts) < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
         AND (empty({run_statuses:Array(String)}) OR $status IN {run_statuses:Array(String)})
         AND (toUnixTimestamp64Micro(min(ts)), run_id)
             < ({before_us:Int64}, {before_id:String})
      ORDER BY min(ts) DESC, run_id DESC
      LIMIT {limit:UInt32}
  )
GROUP BY run_id
ORDER BY min(ts) DESC, run_id DESC
