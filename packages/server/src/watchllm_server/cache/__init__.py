"""Answers that are served again: keys, entries, the store that keeps them, calls in flight."""
