-- What makes questions fast beyond the order of the rows. Each part of the table carries its own, so
-- that a crash or a deletion never leaves it in contradiction to the events.
--
-- The engine refuses projections on a table that replaces rows unless it is told to rebuild them.
ALTER TABLE events MODIFY SETTING
    deduplicate_merge_projection_mode = 'rebuild',
    lightweight_mutation_projection_mode = 'rebuild';

-- The words that word search looks for: of all texts of an event, in lower case, with the escapes of
-- JSON taken away. A word is a run of letters and digits; all that is not ASCII counts as a letter.
ALTER TABLE events ADD COLUMN IF NOT EXISTS search_words Array(String)
    ALIAS arrayDistinct(tokens(lowerUTF8(concat(prompt, ' ', response, ' ', replaceRegexpAll(attributes, '\\\\(u[0-9a-fA-F]{4}|.)', ' '))), 'splitByNonAlpha'));

ALTER TABLE events ADD INDEX IF NOT EXISTS by_word
    arrayDistinct(tokens(lowerUTF8(concat(prompt, ' ', response, ' ', replaceRegexpAll(attributes, '\\\\(u[0-9a-fA-F]{4}|.)', ' '))), 'splitByNonAlpha'))
    TYPE text(tokenizer = 'array');

-- Of the `error` among the attributes: at most 500 characters, and the same with # for what varies.
-- The server fills them in.
ALTER TABLE events ADD COLUMN IF NOT EXISTS error_type LowCardinality(String);

ALTER TABLE events ADD COLUMN IF NOT EXISTS error_message String CODEC(ZSTD(3));

ALTER TABLE events ADD COLUMN IF NOT EXISTS error_pattern String CODEC(ZSTD(3));

-- Totals by the hour. The hour is a number because the engine's own hours end in 2106. Latencies
-- weigh 100 times 1 / sample_rate, since a weight must be a whole number.
ALTER TABLE events ADD PROJECTION IF NOT EXISTS by_hour
(
    SELECT
        project_id,
        intDiv(toUnixTimestamp64Micro(ts), 3600000000),
        event_type,
        status,
        model,
        env,
        release,
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
        quantilesTDigestWeighted(0.5, 0.95, 0.99)(latency_ms, toUInt32(least(100 / sample_rate, 4e9)))
    GROUP BY
        project_id,
        intDiv(toUnixTimestamp64Micro(ts), 3600000000),
        event_type,
        status,
        model,
        env,
        release,
        sample_rate
);

-- What is stored already gets the index and the sums in the background, while the server answers.
ALTER TABLE events MATERIALIZE INDEX by_word SETTINGS mutations_sync = 0;

ALTER TABLE events MATERIALIZE PROJECTION by_hour SETTINGS mutations_sync = 0;
