SELECT $columns
FROM events
WHERE project_id = {project_id:String} AND event_id = {event_id:String}
LIMIT 1
