-- Errors that differ only in numbers and ids are one. The example is the newest of them.
SELECT
    lower(hex(sipHash64(kind, pattern))) AS fingerprint,
    kind,
    pattern,
    argMax((message, event_id, run_id), (ts, event_id)),
    sum(1 / greatest(sample_rate, 1e-6)) AS occurrences,
    uniqExact(run_id),
    uniqExactIf(user_id, user_id != ''),
    toUnixTimestamp64Micro(min(ts)),
    toUnixTimestamp64Micro(max(ts)) AS last_us,
    arraySort(groupUniqArrayIf(100)(model, model != '')),
    arraySort(groupUniqArrayIf(100)(release, release != ''))
FROM
(
    SELECT
        event_id,
        run_id,
        user_id,
        model,
        release,
        ts,
        sample_rate,
        if(error_type = '' AND error_message = '' AND status != '', toString(status), toString(error_type))
            AS kind,
        substringUTF8(error_message, 1, 500) AS message,
        replaceRegexpAll(message, $variable, '#') AS pattern
    FROM events
    WHERE project_id = {project_id:String}
      AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
      AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
      AND $is_error
      AND $condition
)
GROUP BY kind, pattern
ORDER BY occurrences DESC, last_us DESC, fingerprint
LIMIT {limit:UInt32}
