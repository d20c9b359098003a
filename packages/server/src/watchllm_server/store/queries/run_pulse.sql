-- Whether a run has got new events: their number, and when the last of them came.
SELECT count(), toUnixTimestamp64Milli(max(received_at))
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND run_id = {run_id:String}
