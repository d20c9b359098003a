-- The groups with the most events, to be summed up by totals.sql.
SELECT $member AS group_value
FROM
(
    SELECT $key AS key, $sampled AS sampled, $counted AS events
    FROM events
    WHERE project_id = {project_id:String}
      AND $span
      AND $condition
    GROUP BY key, sampled
)
GROUP BY group_value
ORDER BY sum(events / greatest(sampled, 1e-6)) DESC, group_value
LIMIT {limit:UInt32}
