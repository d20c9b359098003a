"""The gateway: a request passes to its provider, and its answer is cached, priced and recorded."""
