-- What there is to narrow by, the most frequent first. The inner question is answered from the
-- projection `by_hour` when it asks about whole hours.
SELECT choice.1 AS name, choice.2 AS value
FROM
(
    SELECT env, model, release, count() AS events
    FROM events
    WHERE project_id = {project_id:String}
      AND $span
    GROUP BY env, model, release
)
ARRAY JOIN [('env', toString(env)), ('model', toString(model)), ('release', toString(release))] AS choice
WHERE value != ''
GROUP BY name, value
ORDER BY name, sum(events) DESC, value
LIMIT {limit:UInt32} BY name
