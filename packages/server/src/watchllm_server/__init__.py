"""The server of WatchLLM: ingest, store, query and pages in one process."""
