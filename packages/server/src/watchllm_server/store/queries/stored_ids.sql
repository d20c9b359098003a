-- Which ids of a group are stored already. A redelivery carries the same timestamp, so that only the
-- group's own stretch of time is read.
SELECT event_id
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts <= fromUnixTimestamp64Micro({to_us:Int64}, 'UTC')
  AND event_id IN {event_ids:Array(String)}
