-- Sums by the hour and tags, as 0101_query_speed.sql keeps them by model and release. They are apart,
-- because tags of every call beside its model and release would leave less to sum up in both.
ALTER TABLE events ADD PROJECTION IF NOT EXISTS by_tags
(
    SELECT
        project_id,
        intDiv(toUnixTimestamp64Micro(ts), 3600000000),
        tags,
        event_type,
        status,
        env,
        sample_rate,
        count(),
        sum(cost),
        count(cost),
        sum(toInt128(tokens_input)),
        count(tokens_input),
        sum(toInt128(tokens_output)),
        count(tokens_output),
        sum(latency_ms),
        count(latency_ms),
        quantilesTDigestWeightedState(0.5, 0.95, 0.99)(latency_ms, toUInt32(least(100 / sample_rate, 4e9)))
    GROUP BY
        project_id,
        intDiv(toUnixTimestamp64Micro(ts), 3600000000),
        tags,
        event_type,
        status,
        env,
        sample_rate
);

ALTER TABLE events MATERIALIZE PROJECTION by_tags SETTINGS mutations_sync = 0;
