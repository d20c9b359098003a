-- Kinds of errors of which the first since `since_us` is of the stretch of time. Nothing is read of them
-- but what tells them apart.
SELECT $kind AS kind, $pattern AS pattern, sum(1 / greatest(sample_rate, 1e-6)) AS occurrences, toUnixTimestamp64Micro(max(ts)) AS last_us
FROM events
PREWHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND $is_error
  AND $condition
GROUP BY kind, pattern
HAVING toUnixTimestamp64Micro(min(ts)) >= {from_us:Int64}
ORDER BY occurrences DESC, last_us DESC, kind, pattern
LIMIT {limit:UInt32}
