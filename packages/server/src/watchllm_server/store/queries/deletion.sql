-- The rows are gone from every answer at once; `deletion_purge` takes them from the disk.
DELETE FROM events
WHERE $condition
