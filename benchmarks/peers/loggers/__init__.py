"""One module a product: `start(url, **options)` returns a function that logs, and one that ends.

`log(prompt, response)` logs one LLM call as the product's documentation has it for calls that are
logged by hand. The other function delivers what waits and shuts down, as its documentation has it.
"""

MODEL = "gpt-4o"
USAGE = (512, 256)  # tokens in, tokens out
LATENCY_MS = 1250
USER = "user-456"
METADATA = {"finish_reason": "stop", "n": 1, "cached": False}
