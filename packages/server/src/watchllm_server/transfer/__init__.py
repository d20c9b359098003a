"""Bring events out of a running server into a file, and back from a file into one."""
