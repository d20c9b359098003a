-- The months with much text that the index over words lacks: in parts that are as they were inserted
-- some time ago. To merge a part, or to work on it otherwise, changes one of its numbers.
SELECT partition_id
FROM system.parts
WHERE database = currentDatabase() AND table = 'events' AND active
  AND min_block_number = max_block_number AND data_version = min_block_number
  AND modification_time <= now() - {seconds:UInt32}
  AND NOT EXISTS
  (
      SELECT 1 FROM system.mutations
      WHERE database = currentDatabase() AND table = 'events' AND NOT is_done
  )
GROUP BY partition_id
HAVING sum(data_uncompressed_bytes) >= {bytes:UInt64}
