"""Log one prompt call: the smallest program that shows up in WatchLLM.

Run it with WATCHLLM_API_KEY and WATCHLLM_PROJECT_ID set (and WATCHLLM_BASE_URL, if the server is
your own):

    python quickstart.py
"""

from watchllm import Status, WatchLLMClient

watchllm = WatchLLMClient()  # takes what it is not given from the WATCHLLM_* variables

event_id = watchllm.log_prompt_call(
    run_id="run-123",
    prompt="What is machine learning?",
    model="gpt-4o",
    response="Machine learning is a subset of AI...",
    tokens_input=12,
    tokens_output=45,
    latency_ms=1250,
    status=Status.SUCCESS,
)

watchllm.close()  # sends what is still queued
print(f"Logged the event {event_id} in the run run-123.")
