ALTER TABLE events MATERIALIZE INDEX by_word IN PARTITION ID '$partition'
SETTINGS mutations_sync = {wait:UInt8}
