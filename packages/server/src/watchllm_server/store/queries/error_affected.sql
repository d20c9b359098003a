-- Whom errors of one kind hit: one pass for all that they are looked at by.
SELECT place.1 AS dimension, place.2 AS name, sum(weight) AS occurrences
FROM
(
    SELECT
        arrayJoin([('model', toString(model)), ('release', toString(release)), ('user', user_id), ('env', toString(env))]) AS place,
        1 / greatest(sample_rate, 1e-6) AS weight,
        $fingerprint AS fingerprint
    FROM events
    PREWHERE project_id = {project_id:String}
      AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
      AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
      AND $is_error
      AND $condition
)
WHERE fingerprint = {fingerprint:String}
  AND name != ''
GROUP BY dimension, name
ORDER BY occurrences DESC, name
LIMIT 10 BY dimension
