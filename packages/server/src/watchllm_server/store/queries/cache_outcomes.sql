-- How the cache took part in calls, by stretches of time. What a would-be hit cost could have been saved.
SELECT
    $bucket AS bucket,
    cache,
    sum(1 / greatest(sample_rate, 1e-6)),
    sum(ifNull(saved_usd, 0) / greatest(sample_rate, 1e-6)),
    sumIf(1 / greatest(sample_rate, 1e-6), would_hit),
    sumIf(ifNull(toFloat64(cost), 0) / greatest(sample_rate, 1e-6), would_hit)
FROM events
WHERE project_id = {project_id:String}
  AND $span
  AND event_type = 'prompt_call'
  AND cache != ''
  AND $condition
GROUP BY bucket, cache
ORDER BY bucket, cache
