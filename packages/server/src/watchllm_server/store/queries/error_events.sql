-- The newest errors of one kind.
SELECT event_id, run_id, toUnixTimestamp64Micro(ts), user_id, release, env, model
FROM
(
    SELECT event_id, run_id, ts, user_id, release, env, model, $fingerprint AS fingerprint
    FROM events
    PREWHERE project_id = {project_id:String}
      AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
      AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
      AND $is_error
      AND $condition
)
WHERE fingerprint = {fingerprint:String}
ORDER BY ts DESC, event_id DESC
LIMIT {limit:UInt32}
