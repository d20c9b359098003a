"""What a request and an answer of each API look like. Nothing here does I/O."""
