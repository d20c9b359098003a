-- What was asked and answered in some calls.
SELECT event_id, substringUTF8(prompt, 1, {characters:UInt32}), substringUTF8(response, 1, {characters:UInt32})
FROM events
WHERE project_id = {project_id:String}
  AND event_id IN {event_ids:Array(String)}
