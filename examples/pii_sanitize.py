"""Personal data of your own kind: sanitise it before it is logged.

WatchLLM redacts e-mail addresses and card numbers by itself. What only your app knows to be
personal, such as a social security number, your app replaces first.

Run it with WATCHLLM_API_KEY and WATCHLLM_PROJECT_ID set:

    python pii_sanitize.py
"""

import re
import time

from watchllm import StepType, WatchLLMClient, trace

NOTE = "Ada called. Her SSN is 078-05-1120, her address ada@example.com."


def sanitize(text: str) -> str:
    """Replace social security numbers."""
    return re.sub(r"\b\d{3}-\d{2}-\d{4}\b", "[REDACTED_SSN]", text)


with WatchLLMClient() as watchllm, trace(tags=["support"]) as run_id:
    start = time.perf_counter()
    words = NOTE.split()
    watchllm.log_agent_step(
        run_id=run_id,
        step_number=1,
        step_name="Count the words of a note",
        step_type=StepType.TOOL_CALL,
        input_data={"note": sanitize(NOTE)},
        output_data={"words": len(words)},
        latency_ms=int((time.perf_counter() - start) * 1000),
    )

print(f"Logged {len(words)} words as run {run_id}, without the number and the address.")
