"""Every setting of the client and every kind of event, each with all that it can be given.

No model is asked: the values are made up, and stand for those of your app.

Run it with WATCHLLM_API_KEY and WATCHLLM_PROJECT_ID set:

    python every_call.py
"""

import json
import logging
import os
from typing import Any

from watchllm import (
    AlertType,
    AssertionType,
    DetectionMethod,
    Severity,
    Status,
    StepType,
    WatchLLMClient,
)

# What the SDK does, and why an event was not sent, is told by its logger.
logging.basicConfig()
logging.getLogger("watchllm").setLevel(logging.DEBUG)

watchllm = WatchLLMClient(
    api_key=os.environ["WATCHLLM_API_KEY"],
    project_id=os.environ["WATCHLLM_PROJECT_ID"],
    base_url=os.environ.get("WATCHLLM_BASE_URL", "https://proxy.watchllm.dev/v1"),
    environment=os.environ.get("WATCHLLM_ENVIRONMENT", "development"),
    sample_rate=float(os.environ.get("WATCHLLM_SAMPLE_RATE", "1.0")),
    redact_pii=True,
    batch_size=10,  # sends at 10 events ...
    flush_interval_seconds=5,  # ... or after 5 seconds
    timeout=30,  # seconds that a request may take
)
RUN = "run-of-every-call"
WHO: "dict[str, Any]" = {
    "tags": ["summarization", "article"],
    "user_id": "user-456",
    "release": "1.2.0",
}

watchllm.log_prompt_call(
    run_id=RUN,
    prompt="Summarize this article: ...",
    model="gpt-4o",
    response="The article discusses...",
    tokens_input=150,
    tokens_output=200,
    latency_ms=2500,
    status=Status.SUCCESS,
    prompt_template_id="summary-v3",
    model_version="gpt-4o-2024-08-06",
    response_metadata={"finish_reason": "stop"},
    tool_calls=[
        {
            "tool_name": "fetch",
            "input": {"page": 1},
            "output": "...",
            "latency_ms": 80,
            "status": "success",
        }
    ],
    **WHO,
)
watchllm.log_prompt_call(
    run_id=RUN,
    prompt="Summarize this book: ...",
    model="gpt-4o",
    response="",
    tokens_input=None,  # not known
    tokens_output=None,
    latency_ms=30_000,
    status=Status.TIMEOUT,
    error={"message": "The model did not answer in time.", "type": "APITimeoutError"},
    **WHO,
)
for number, (step_type, status) in enumerate(
    [
        (StepType.REASONING, Status.SUCCESS),
        (StepType.TOOL_CALL, Status.ERROR),
        (StepType.VALIDATION, Status.ASSERTION_FAILED),
        ("output", "warning"),  # a value can be given by its name
    ],
    start=1,
):
    failed = status in {Status.ERROR, Status.ASSERTION_FAILED}
    watchllm.log_agent_step(
        run_id=RUN,
        step_number=number,
        step_name=f"Phase {number}",
        step_type=step_type,
        input_data={"query": "climate change solutions"},
        output_data={"findings": ["wind", "sun"]},
        latency_ms=5000,
        status=status,
        reasoning="Searched for papers and put together what they found.",
        context={"model": "gpt-4o", "temperature": 0.7},
        error={"message": "Two sources disagree."} if failed else None,
        **WHO,
    )
try:
    json.loads("<html>Bad gateway</html>")
except ValueError as error:
    watchllm.log_error(
        run_id=RUN, error=error, context={"operation": "search", "retry_attempt": 2}, **WHO
    )
watchllm.log_error(run_id=RUN, error={"message": "No index.", "type": "SearchError"}, **WHO)
watchllm.log_assertion_failed(
    run_id=RUN,
    assertion_name="summary is short",
    assertion_type=AssertionType.CUSTOM,
    expected="at most 100 words",
    actual="140 words",
    severity=Severity.LOW,
    **WHO,
)
watchllm.log_hallucination_detected(
    run_id=RUN,
    detection_method=DetectionMethod.GROUND_TRUTH_VERIFICATION,
    confidence_score=0.92,
    flagged_content="The article is of 1899.",
    ground_truth="The article is of 1999.",
    recommendations=["Give the date with the article."],
    **WHO,
)
watchllm.log_performance_alert(
    run_id=RUN,
    alert_type=AlertType.LATENCY_SPIKE,
    threshold=3000,
    actual_value=30_000,
    window_minutes=5,
    affected_models=["gpt-4o"],
    severity=Severity.HIGH,
    **WHO,
)

delivered = watchllm.flush()  # waits for the server; tells whether all was taken
watchllm.close()
print(f"Logged as run {RUN}; delivered: {delivered}; {watchllm.stats()}")
