-- How large the next events are in the order of an export, so that it takes no more than it can hold.
SELECT length(prompt) + length(response) + length(attributes), $key AS sort_key
FROM events
WHERE project_id = {project_id:String}
  AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
  AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
  AND $condition
  AND $after
ORDER BY $order
LIMIT {limit:UInt32}
