-- How many events a deletion concerns. An event that is stored twice counts once.
SELECT uniqExact(project_id, event_id)
FROM events
WHERE $condition
