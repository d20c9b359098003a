-- The newest of each kind of errors, of which the moments are known. To look there alone spares the ids
-- of all other errors, which are most of what would have to be read.
SELECT $kind AS kind, $pattern AS pattern, argMax(($message, event_id, run_id), (ts, event_id))
FROM events
PREWHERE project_id = {project_id:String}
  AND ts IN (SELECT fromUnixTimestamp64Micro(toInt64(arrayJoin({moments:Array(String)})), 'UTC'))
  AND $is_error
  AND $condition
GROUP BY kind, pattern
