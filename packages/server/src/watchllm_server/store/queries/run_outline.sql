-- What the outline of a run shows of each event. Of the texts only the beginnings are read.
SELECT
    event_id,
    event_type,
    toUnixTimestamp64Micro(ts),
    model,
    status,
    latency_ms,
    tokens_input,
    tokens_output,
    cost,
    prompt_head,
    error_type,
    if(JSONType(attributes, 'parent_event_id') = 'String', JSONExtractString(attributes, 'parent_event_id'), ''),
    toString(JSONExtractInt(attributes, 'step_number')),
    arrayFirst(
        name -> name != '',
        [
            JSONExtractString(attributes, 'step_name'),
            JSONExtractString(attributes, 'assertion_name'),
            JSONExtractString(attributes, 'alert_type'),
            JSONExtractString(attributes, 'detection_method'),
            JSONExtractString(attributes, 'name')
        ]
    ),
    JSONExtractString(attributes, 'step_type')
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND run_id = {run_id:String}
ORDER BY ts, event_id
LIMIT {limit:UInt32}
