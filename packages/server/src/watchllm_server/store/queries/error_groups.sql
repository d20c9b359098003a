-- Errors that differ only in numbers and ids are one. Said as PREWHERE here and in the other questions
-- about errors, what makes an event one is looked at first, and the rest is read of errors alone.
SELECT
    lower(hex(sipHash64(kind, pattern))) AS fingerprint,
    $kind AS kind,
    $pattern AS pattern,
    sum(1 / greatest(sample_rate, 1e-6)) AS occurrences,
    uniqExact(run_id),
    uniqExactIf(user_id, user_id != ''),
    toUnixTimestamp64Micro(min(ts)),
    toUnixTimestamp64Micro(max(ts)) AS last_us,
    arraySort(groupUniqArrayIf(100)(model, model != '')),
    arraySort(groupUniqArrayIf(100)(release, release != '')),
    $trend
FROM events
PREWHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND $is_error
  AND $condition
GROUP BY kind, pattern
HAVING $named
ORDER BY occurrences DESC, last_us DESC, fingerprint
LIMIT {limit:UInt32}
