-- When the events begin among which the newest runs are looked for; nothing if there are fewer events.
SELECT toUnixTimestamp64Micro(ts)
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts <= fromUnixTimestamp64Micro({before_us:Int64}, 'UTC')
ORDER BY ts DESC
LIMIT 1 OFFSET {events:UInt32}
