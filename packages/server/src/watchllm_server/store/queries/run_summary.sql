SELECT $summary
FROM events
WHERE project_id = {project_id:String} AND run_id = {run_id:String}
GROUP BY run_id
