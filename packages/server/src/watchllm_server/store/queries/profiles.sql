-- What there was of each user, template or release. Unsampled events are summed exactly and sampled
-- ones apart, each with its weight.
WITH 1 / greatest(sample_rate, 1e-6) AS weight
SELECT
    $key AS name,
    sum(weight) AS events,
    sumIf(weight, event_type = 'prompt_call') AS calls,
    sumIf(weight, $is_error) AS errors,
    sumIf(weight, event_type = 'prompt_call' AND $is_error),
    sumIf(ifNull(tokens_input, 0) * weight, event_type = 'prompt_call'),
    sumIf(ifNull(tokens_output, 0) * weight, event_type = 'prompt_call'),
    sumIf(cost, sample_rate = 1) AS cost_exact,
    sumIf(toFloat64(cost) * weight, sample_rate != 1) AS cost_weighed,
    sumIf(weight, event_type = 'prompt_call' AND cost IS NULL),
    toUnixTimestamp64Micro(min(ts)),
    toUnixTimestamp64Micro(max(ts)) AS last_us,
    $latencies
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND $key != ''
  AND $wanted
  AND $condition
GROUP BY name
ORDER BY $order DESC, events DESC, name
LIMIT {limit:UInt32}
