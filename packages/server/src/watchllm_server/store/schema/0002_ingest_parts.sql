-- A part of an insert stays in one file up to 64 MB: many columns in as many files, each synced to
-- disk, cost more than the rest of the insert. Merges make the large parts that are read by column.
ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 67108864;
