"""Log a busy app: keep a tenth of its runs, and send events in larger batches.

Sampling keeps or drops whole runs, and each kept event carries its weight. Errors are always kept.

Run it with WATCHLLM_API_KEY and WATCHLLM_PROJECT_ID set:

    python sampling_and_batching.py
"""

import time
import uuid

from watchllm import StepType, WatchLLMClient

JOBS = 500

with WatchLLMClient(
    sample_rate=0.1,  # keep 10 % of the runs
    batch_size=50,  # send at 50 events ...
    flush_interval_seconds=10,  # ... or every 10 seconds, whichever comes first
) as watchllm:
    for number in range(JOBS):
        start = time.perf_counter()
        divisors = [candidate for candidate in range(1, number + 1) if number % candidate == 0]
        watchllm.log_agent_step(
            run_id=f"job-{uuid.uuid4()}",
            step_number=1,
            step_name="Find divisors",
            step_type=StepType.TOOL_CALL,
            input_data={"number": number},
            output_data={"divisors": divisors},
            latency_ms=int((time.perf_counter() - start) * 1000),
            release="v1.2.3",  # the version of your app
        )

print(f"Logged {JOBS} steps. What became of them: {watchllm.stats()}")
