"""From a batch on the wire to rows in the store."""
