"""The steps by which the metadata database came to its present form."""
