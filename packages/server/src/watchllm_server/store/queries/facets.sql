-- How many events each value of some fields has. A field is counted under the conditions on all others
-- but not under its own, so that what else could be chosen is seen; the name '' counts all that match.
SELECT facet.1 AS name, facet.2 AS value, sum(events) AS total
FROM
(
    SELECT event_type, status, model, env, release, tags, count() AS events
    FROM events
    WHERE project_id = {project_id:String}
      AND ts >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')
      AND ts < fromUnixTimestamp64Micro({until_us:Int64}, 'UTC')
      AND $condition
    GROUP BY event_type, status, model, env, release, tags
)
ARRAY JOIN arrayConcat($facets) AS facet
GROUP BY name, value
ORDER BY name, total DESC, value
LIMIT {limit:UInt32} BY name
