-- Sums by group and stretch of time. The inner question is answered from the projection `by_hour`
-- when it asks for nothing that the projection lacks, so its expressions are those of the schema.
-- Unsampled events are summed exactly and sampled ones apart, each with its weight.
-- Where all groups are summed up, the sums of all events come with them, rolled up, as the first row.
WITH 1 / greatest(sample_rate, 1e-6) AS weight
SELECT
    $member AS group_value,
    $place,
    sum(events * weight),
    sumIf(events * weight, is_call),
    sumIf(events * weight, is_error),
    sumIf(events * weight, is_call AND is_error),
    toString(sumIf(input_sum, sample_rate = 1)),
    sumIf(toFloat64(input_sum) * weight, sample_rate != 1),
    sum(input_known),
    toString(sumIf(output_sum, sample_rate = 1)),
    sumIf(toFloat64(output_sum) * weight, sample_rate != 1),
    sum(output_known),
    sumIf(cost_sum, sample_rate = 1),
    sumIf(toFloat64(cost_sum) * weight, sample_rate != 1),
    sum(cost_known),
    sumIf((events - cost_known) * weight, is_call),
    sumIf(latency_sum * weight, is_call),
    sumIf(latency_known * weight, is_call)
FROM
(
    SELECT
        $key AS key,
        $bucket AS bucket,
        event_type = 'prompt_call' AS is_call,
        $is_error AS is_error,
        sample_rate,
        count() AS events,
        sum(toInt128(tokens_input)) AS input_sum,
        count(tokens_input) AS input_known,
        sum(toInt128(tokens_output)) AS output_sum,
        count(tokens_output) AS output_known,
        sum(cost) AS cost_sum,
        count(cost) AS cost_known,
        sum(latency_ms) AS latency_sum,
        count(latency_ms) AS latency_known
    FROM events
    WHERE project_id = {project_id:String}
      AND $span
      AND $condition
      AND $chosen_keys
    GROUP BY key, bucket, is_call, is_error, sample_rate
)
WHERE $chosen
GROUP BY $by
$most
