-- How many events a deletion concerns. An event that is stored twice counts once.
SELECT uniqExact(event_id)
FROM events
WHERE project_id = {project_id:String} AND $condition
