-- What pages sum by and what would otherwise be looked up in every event's JSON. The engine takes it
-- from there as an event is stored; the search before it spares the events that have none of it.
ALTER TABLE events ADD COLUMN IF NOT EXISTS template LowCardinality(String)
    DEFAULT if(position(attributes, '"prompt_template_id"') > 0, JSONExtractString(attributes, 'prompt_template_id'), '');

-- How the cache took part in a call: HIT, HIT-SEMANTIC, HIT-COALESCED, MISS, BYPASS, or empty.
ALTER TABLE events ADD COLUMN IF NOT EXISTS cache LowCardinality(String)
    DEFAULT if(position(attributes, '"cache"') > 0, JSONExtractString(attributes, 'response_metadata', 'cache'), '');

ALTER TABLE events ADD COLUMN IF NOT EXISTS saved_usd Nullable(Float64)
    DEFAULT if(position(attributes, '"saved_usd"') > 0, JSONExtract(attributes, 'response_metadata', 'saved_usd', 'Nullable(Float64)'), NULL);

-- The event whose stored answer was nearest by its meaning, given out or not; and whether it would have
-- been given out, had that been allowed.
ALTER TABLE events ADD COLUMN IF NOT EXISTS matched String
    DEFAULT if(position(attributes, 'hit"') > 0, concat(JSONExtractString(attributes, 'response_metadata', 'hit', 'event_id'), JSONExtractString(attributes, 'response_metadata', 'would_hit', 'event_id')), '')
    CODEC(ZSTD(1));

ALTER TABLE events ADD COLUMN IF NOT EXISTS would_hit UInt8
    DEFAULT if(position(attributes, '"would_hit"') > 0, JSONExtractBool(attributes, 'response_metadata', 'would_hit', 'serves'), 0);

-- What is stored already gets them in the background, and is read from the JSON until then.
ALTER TABLE events
    MATERIALIZE COLUMN template, MATERIALIZE COLUMN cache, MATERIALIZE COLUMN saved_usd,
    MATERIALIZE COLUMN matched, MATERIALIZE COLUMN would_hit
    SETTINGS mutations_sync = 0;
