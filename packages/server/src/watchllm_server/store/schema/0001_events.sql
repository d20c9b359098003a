-- One row an event. Duplicates are kept out before the insert; the engine's replacing is a safety
-- net for what a crash between two partitions may leave. `attributes` holds, as JSON text exactly as
-- it was sent, whatever the columns would not give back. An empty text means that a field is absent.
CREATE TABLE IF NOT EXISTS events
(
    project_id    LowCardinality(String),
    event_id      String CODEC(ZSTD(1)),
    run_id        String CODEC(ZSTD(1)),
    event_type    LowCardinality(String),
    ts            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    env           LowCardinality(String),
    tags          Array(LowCardinality(String)),
    user_id       String CODEC(ZSTD(1)),
    release       LowCardinality(String),
    model         LowCardinality(String),
    status        LowCardinality(String),
    latency_ms    Nullable(Float64) CODEC(ZSTD(1)),
    tokens_input  Nullable(Int64) CODEC(ZSTD(1)),
    tokens_output Nullable(Int64) CODEC(ZSTD(1)),
    cost          Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    sample_rate   Float64 DEFAULT 1 CODEC(ZSTD(1)),
    prompt        String CODEC(ZSTD(3)),
    response      String CODEC(ZSTD(3)),
    prompt_head   String DEFAULT substringUTF8(prompt, 1, 200) CODEC(ZSTD(1)),
    response_head String DEFAULT substringUTF8(response, 1, 200) CODEC(ZSTD(1)),
    attributes    String CODEC(ZSTD(3)),
    received_at   DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_run_id run_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_user_id user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(received_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (project_id, ts, event_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
