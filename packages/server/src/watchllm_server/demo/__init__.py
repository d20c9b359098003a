"""The demo: the example programs, run for real, and a table of what the server recorded."""
