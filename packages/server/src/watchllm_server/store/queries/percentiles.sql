-- The latencies of prompt calls by group and stretch of time. The projection `by_hour` answers only
-- to the very expression that it keeps.
WITH $bucket AS bucket
SELECT
    $group AS group_value,
    $place,
    quantilesTDigestWeighted(0.5, 0.95, 0.99)(latency_ms, toUInt32(least(100 / sample_rate, 4e9)))
FROM events
WHERE project_id = {project_id:String}
  AND event_type = 'prompt_call'
  AND $span
  AND $condition
  AND $chosen
GROUP BY $by
HAVING $shown
