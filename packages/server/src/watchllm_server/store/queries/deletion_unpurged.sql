-- The months that have deleted rows on the disk, and whether the engine is at work on them.
SELECT
    partition_id,
    (SELECT count() FROM system.mutations
     WHERE database = currentDatabase() AND table = 'events' AND NOT is_done) > 0
FROM system.parts
WHERE database = currentDatabase() AND table = 'events' AND active AND has_lightweight_delete
GROUP BY partition_id
