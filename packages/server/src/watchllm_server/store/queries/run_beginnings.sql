-- When runs began.
SELECT run_id, toUnixTimestamp64Micro(min(ts))
FROM events
WHERE project_id = {project_id:String} AND run_id IN {run_ids:Array(String)}
GROUP BY run_id
