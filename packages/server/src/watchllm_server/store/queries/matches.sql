-- The newest calls for which there was a stored answer to another wording, given out or not.
WITH JSONExtractRaw(attributes, 'response_metadata', if(cache = 'HIT-SEMANTIC', 'hit', 'would_hit')) AS told
SELECT
    event_id,
    matched,
    run_id,
    toUnixTimestamp64Micro(ts) AS at_us,
    model,
    cache = 'HIT-SEMANTIC' AS served,
    would_hit,
    JSONExtract(told, 'similarity', 'Nullable(Float64)'),
    JSONExtract(told, 'confidence', 'Nullable(Float64)'),
    if(served, saved_usd, toFloat64(cost)),
    substringUTF8(prompt, 1, {characters:UInt32}),
    substringUTF8(response, 1, {characters:UInt32})
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND event_type = 'prompt_call'
  AND matched != ''
  AND $which
  AND $condition
ORDER BY at_us DESC, event_id DESC
LIMIT {limit:UInt32}
