-- How many errors of each kind there were in each stretch of time from the beginning on. Said as PREWHERE
-- here and in the other questions about errors, it is looked at first: the engine would take the
-- fingerprint of every event, to see whether it is among those that are asked for.
SELECT
    $fingerprint AS fingerprint,
    intDiv(toUnixTimestamp64Micro(ts) - {from_us:Int64}, {width:Int64}) AS bucket,
    sum(1 / greatest(sample_rate, 1e-6))
FROM events
PREWHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND $is_error
  AND $condition
GROUP BY fingerprint, bucket
HAVING fingerprint IN {fingerprints:Array(String)}
