-- Sums by group and stretch of time. The inner question is answered from the projection `by_hour`
-- when it asks for nothing that the projection lacks, so its expressions are those of the schema.
-- Unsampled events are summed exactly and sampled ones apart, each with its weight.
WITH 1 / greatest(sample_rate, 1e-6) AS weight
SELECT
    group_value,
    bucket,
    sum(events * weight),
    sumIf(events * weight, event_type = 'prompt_call'),
    sumIf(events * weight, $is_error),
    sumIf(events * weight, event_type = 'prompt_call' AND $is_error),
    toString(sumIf(input_sum, sample_rate = 1)),
    sumIf(toFloat64(input_sum) * weight, sample_rate != 1),
    sum(input_known),
    toString(sumIf(output_sum, sample_rate = 1)),
    sumIf(toFloat64(output_sum) * weight, sample_rate != 1),
    sum(output_known),
    sumIf(cost_sum, sample_rate = 1),
    sumIf(toFloat64(cost_sum) * weight, sample_rate != 1),
    sum(cost_known),
    sumIf((events - cost_known) * weight, event_type = 'prompt_call'),
    sumIf(latency_sum * weight, event_type = 'prompt_call'),
    sumIf(latency_known * weight, event_type = 'prompt_call'),
    $percentiles
FROM
(
    SELECT
        $group AS group_value,
        $bucket AS bucket,
        event_type,
        status,
        sample_rate,
        count() AS events,
        sum(toInt128(tokens_input)) AS input_sum,
        count(tokens_input) AS input_known,
        sum(toInt128(tokens_output)) AS output_sum,
        count(tokens_output) AS output_known,
        sum(cost) AS cost_sum,
        count(cost) AS cost_known,
        sum(latency_ms) AS latency_sum,
        count(latency_ms) AS latency_known,
        $digest AS latencies
    FROM events
    WHERE project_id = {project_id:String}
      AND $span
      AND $condition
      AND $chosen
    GROUP BY group_value, bucket, event_type, status, sample_rate
)
GROUP BY group_value, bucket
ORDER BY $order
LIMIT {limit:UInt32}
