"""The queries as JSON over HTTP."""
