-- The months that hold events from before a moment, and whose events they are.
SELECT _partition_id, groupUniqArray(project_id)
FROM events
WHERE ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
GROUP BY _partition_id
