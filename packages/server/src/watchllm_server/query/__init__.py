"""One file a question: a function of the store and a filter that returns a dataclass."""
