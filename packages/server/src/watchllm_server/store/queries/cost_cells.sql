-- What calls cost by two keys and a stretch of time. The inner question is answered from the projection
-- `by_hour` when it asks for nothing that the projection lacks, so its expressions are those of the
-- schema. Unsampled calls are summed exactly and sampled ones apart, each with its weight.
WITH 1 / greatest(sample_rate, 1e-6) AS weight
SELECT
    $one AS one,
    $other AS other,
    bucket,
    sumIf(cost_sum, sample_rate = 1) AS cost_exact,
    sumIf(toFloat64(cost_sum) * weight, sample_rate != 1) AS cost_weighed,
    sum(events * weight) AS calls,
    sum((events - cost_known) * weight) AS unpriced
FROM
(
    SELECT
        $one_key AS one_key,
        $other_key AS other_key,
        $bucket AS bucket,
        sample_rate,
        count() AS events,
        sum(cost) AS cost_sum,
        count(cost) AS cost_known
    FROM events
    WHERE project_id = {project_id:String}
      AND event_type = 'prompt_call'
      AND $span
      AND $condition
      AND $chosen_keys
    GROUP BY one_key, other_key, bucket, sample_rate
)
WHERE $chosen
GROUP BY one, other, bucket
HAVING $having
ORDER BY $order DESC, calls DESC, one, other, bucket
LIMIT {limit:UInt32}
