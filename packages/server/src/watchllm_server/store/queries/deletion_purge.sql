ALTER TABLE events APPLY DELETED MASK IN PARTITION ID '$partition'
SETTINGS mutations_sync = {wait:UInt8}
