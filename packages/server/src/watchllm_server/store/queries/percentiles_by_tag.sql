-- The latencies of prompt calls by tag and stretch of time. Calls with the same tags are taken together
-- before each tag takes its share: there are far fewer sets of tags than calls.
SELECT
    arrayJoin(emptyArrayToSingle(tags)) AS group_value,
    bucket,
    quantilesTDigestWeightedMerge(0.5, 0.95, 0.99)(latencies)
FROM
(
    SELECT
        tags,
        $bucket AS bucket,
        quantilesTDigestWeightedState(0.5, 0.95, 0.99)(latency_ms, toUInt32(least(100 / sample_rate, 4e9)))
            AS latencies
    FROM events
    WHERE project_id = {project_id:String}
      AND event_type = 'prompt_call'
      AND $span
      AND $condition
    GROUP BY tags, bucket
)
WHERE $chosen
GROUP BY group_value, bucket
