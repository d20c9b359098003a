-- The newest calls that another's answer would have served.
SELECT
    event_id,
    would_hit,
    run_id,
    toUnixTimestamp64Micro(ts) AS at_us,
    model,
    JSONExtract(attributes, 'response_metadata', 'would_hit', 'similarity', 'Nullable(Float64)'),
    JSONExtract(attributes, 'response_metadata', 'would_hit', 'confidence', 'Nullable(Float64)'),
    cost,
    substringUTF8(prompt, 1, {characters:UInt32}),
    substringUTF8(response, 1, {characters:UInt32})
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND event_type = 'prompt_call'
  AND would_hit != ''
  AND $condition
ORDER BY at_us DESC, event_id DESC
LIMIT {limit:UInt32}
