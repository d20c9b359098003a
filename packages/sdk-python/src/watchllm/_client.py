"""The client: builds events and wires the steps that they go through."""

from __future__ import annotations

import os

from watchllm import _config
from watchllm._both import Both
from watchllm._delivery import Delivery
from watchllm._encoding import Encoder
from watchllm._enums import Severity, Status
from watchllm._late import load_for_logging, optional
from watchllm._log import DEBUG, Problems, log_everything_to_stderr, logger
from watchllm._pipeline import Pipeline
from watchllm._runtime import CLOCK, IdSource
from watchllm._spool import DiskSpool, Folder, MemorySpool, Orphans, SpoolUnusable, default_root
from watchllm._stats import Stats
from watchllm._transport import HttpTransport, stand_in
from watchllm._version import __version__
from watchllm._worker import worker_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Mapping

    from watchllm._enums import AlertType, AssertionType, DetectionMethod, StepType
    from watchllm._events import Event
    from watchllm._redaction import RedactionConfig
    from watchllm._runtime import Clock
    from watchllm._spool import Spool
    from watchllm._transport import Transport


class WatchLLMClient:
    """Log LLM calls, agent steps and errors, in the background.

    Settings that are None come from WATCHLLM_<NAME> in the environment, else from their defaults.
    Raises `ConfigurationError` if one is wrong or missing. The log methods return the event's id
    and never raise for what they are given: a value of the wrong kind is described in the event's
    `invalid_fields`. `run_id` may be None inside `watchllm.trace()`. Safe to use from any thread
    and any asyncio task, and in forked children. `also_to` gets each batch that was delivered:
    see `watchllm.integrations.opentelemetry`. `transport` and `clock` are for tests: see
    `watchllm.testing`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        project_id: str | None = None,
        base_url: str | None = None,
        environment: str | None = None,
        sample_rate: float | None = None,
        redact_pii: bool | RedactionConfig | None = None,
        batch_size: int | None = None,
        flush_interval_seconds: float | None = None,
        timeout: float | None = None,
        *,
        release: str | None = None,
        enabled: bool | None = None,
        durability: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_mb: int | None = None,
        debug: bool | None = None,
        also_to: Transport | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        captured = transport is None and stand_in.transport is not None
        if captured:
            transport = stand_in.transport
            api_key = api_key or "key-of-a-test"
            project_id = project_id or os.environ.get("WATCHLLM_PROJECT_ID") or "project-of-a-test"
        options = {
            "api_key": api_key,
            "project_id": project_id,
            "base_url": base_url,
            "environment": environment,
            "sample_rate": sample_rate,
            "redact_pii": redact_pii,
            "batch_size": batch_size,
            "flush_interval_seconds": flush_interval_seconds,
            "timeout": timeout,
            "release": release,
            "enabled": enabled,
            # What a test's transport carries is no other process's business.
            "durability": durability or ("memory" if transport and not spool_dir else None),
            "spool_dir": spool_dir,
            "spool_max_mb": spool_max_mb,
            "debug": debug,
        }
        self._config, warnings = _config.load(options, os.environ)
        load_for_logging()
        self._logger = logger()
        if self._config.debug:
            log_everything_to_stderr()
        self._problems = Problems()
        for warning in warnings:
            self._problems.report(warning, warning)
        clock = clock or CLOCK
        self._ids = IdSource(clock)
        self._stats = Stats()
        self._disabled = None if self._config.enabled else "disabled"
        self._pipeline = Pipeline(self._config, Encoder(optional("orjson")))
        self._spool, orphans = self._open_spool(clock)
        if transport is None:
            key = self._config.api_key
            transport = HttpTransport(self._config.base_url, key, __version__, clock)
        self._delivery = Delivery(
            self._config,
            self._spool,
            self._pipeline.unpack,
            transport if also_to is None else Both(transport, also_to, self._problems),
            worker_for(clock),
            self._stats,
            self._problems,
            orphans,
        )
        self._delivery.adopt()
        if captured:
            stand_in.clients.append(self)

    def _open_spool(self, clock: Clock) -> tuple[Spool, Orphans | None]:
        config = self._config
        if config.durability == "memory" or not config.enabled:
            return MemorySpool(), None
        try:
            root = config.spool_dir or default_root(os.environ)
        except SpoolUnusable as error:
            self._problems.report("spool", f"Events wait in memory, not on disk: {error}.")
            return MemorySpool(), None
        folder = Folder(root, config.base_url, config.project_id)
        return DiskSpool(folder, config.spool_max_mb << 20, clock), Orphans(folder, clock)

    def log_prompt_call(
        self,
        run_id: str | None,
        prompt: str,
        model: str,
        response: str | None,
        tokens_input: int | None,
        tokens_output: int | None,
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        error: BaseException | Mapping[str, Any] | str | None = None,
        prompt_template_id: str | None = None,
        model_version: str | None = None,
        response_metadata: dict[str, Any] | None = None,
        tool_calls: list[dict[str, Any]] | None = None,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
        *,
        cost_estimate_usd: float | None = None,
    ) -> str:
        """Log a call of a language model; return the event's id.

        The server prices the call by model and tokens unless `cost_estimate_usd` is given.
        None says that a provider gave no text or no usage; the server shows such tokens as unknown.
        """
        return self._log(
            "prompt_call",
            {
                "prompt": prompt,
                "model": model,
                "response": response,
                "tokens_input": tokens_input,
                "tokens_output": tokens_output,
                "latency_ms": latency_ms,
                "status": status,
                "error": error,
                "prompt_template_id": prompt_template_id,
                "model_version": model_version,
                "response_metadata": response_metadata,
                "tool_calls": tool_calls,
                "cost_estimate_usd": cost_estimate_usd,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_agent_step(
        self,
        run_id: str | None,
        step_number: int,
        step_name: str,
        step_type: StepType | str,
        input_data: dict[str, Any],
        output_data: dict[str, Any],
        latency_ms: float,
        status: Status | str = Status.SUCCESS,
        reasoning: str | None = None,
        context: dict[str, Any] | None = None,
        error: BaseException | Mapping[str, Any] | str | None = None,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Log a step of an agent; return the event's id."""
        return self._log(
            "agent_step",
            {
                "step_number": step_number,
                "step_name": step_name,
                "step_type": step_type,
                "input_data": input_data,
                "output_data": output_data,
                "latency_ms": latency_ms,
                "status": status,
                "reasoning": reasoning,
                "context": context,
                "error": error,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_error(
        self,
        run_id: str | None,
        error: BaseException | Mapping[str, Any] | str,
        context: dict[str, Any] | None = None,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Log an exception, or a dict with a `message`; return the event's id.

        Of an exception its type, message and traceback are kept, with what it was raised from.
        """
        return self._log(
            "error",
            {
                "error": error,
                "context": context,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_assertion_failed(
        self,
        run_id: str | None,
        assertion_name: str,
        assertion_type: AssertionType | str,
        expected: Any,
        actual: Any,
        severity: Severity | str = Severity.MEDIUM,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Log a check that failed; return the event's id."""
        return self._log(
            "assertion_failed",
            {
                "assertion_name": assertion_name,
                "assertion_type": assertion_type,
                "expected": expected,
                "actual": actual,
                "severity": severity,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_hallucination_detected(
        self,
        run_id: str | None,
        detection_method: DetectionMethod | str,
        confidence_score: float,
        flagged_content: str,
        ground_truth: str | None = None,
        recommendations: list[str] | None = None,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Log content that a model made up; return the event's id.

        `confidence_score` is from 0 to 1.
        """
        return self._log(
            "hallucination_detected",
            {
                "detection_method": detection_method,
                "confidence_score": confidence_score,
                "flagged_content": flagged_content,
                "ground_truth": ground_truth,
                "recommendations": recommendations,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_performance_alert(
        self,
        run_id: str | None,
        alert_type: AlertType | str,
        threshold: float,
        actual_value: float,
        window_minutes: int,
        affected_models: list[str] | None = None,
        severity: Severity | str | None = None,
        tags: list[str] | None = None,
        user_id: str | None = None,
        release: str | None = None,
    ) -> str:
        """Log a measure that left its bounds; return the event's id."""
        return self._log(
            "performance_alert",
            {
                "alert_type": alert_type,
                "threshold": threshold,
                "actual_value": actual_value,
                "window_minutes": window_minutes,
                "affected_models": affected_models,
                "severity": severity,
                "run_id": run_id,
                "tags": tags,
                "user_id": user_id,
                "release": release,
            },
        )

    def log_event(self, event: Event) -> str:
        """Log an event made from one of the event classes; return its id."""
        return self._log("", {}, event)

    def flush(self, timeout: float | None = None) -> bool:
        """Send all events logged before; return True once the server has answered for each.

        Blocks at most `timeout` seconds (default: the client's `timeout`), then returns False; at
        once if the server refuses the key. The events stay queued.
        """
        return self._delivery.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Send all events and end the client; return True if the server answered for each.

        Blocks at most `timeout` seconds. What could not be sent then waits on the disk for the next
        process of the project; in memory it is dropped and counted, and so is what is logged later.
        Closing again does nothing. An app that ends without it gets the same at exit.
        """
        return self._delivery.close(timeout)

    def stats(self) -> dict[str, Any]:
        """Return the counters: what became of the events of this process.

        logged = sampled_out + sent + refused + the sum of dropped (by reason) + queued. `accepted`
        were queued at some time, `retried` counts each repeated delivery, `redacted` findings by
        kind.
        """
        return self._stats.snapshot(self._spool.accepted(), self._spool.queued())

    def __enter__(self) -> WatchLLMClient:  # noqa: PYI034 - Self is not in Python 3.8
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"WatchLLMClient({self._config!r})"

    def _log(self, event_type: str, values: dict[str, Any], event: Event | None = None) -> str:
        """Take an event through all steps; whatever fails in here is counted, never raised."""
        ids = self._ids
        time_ns = ids.now()
        event_id = ids.new(time_ns)
        try:
            if self._disabled is not None:
                self._stats.reject(self._disabled)
                return event_id
            if event is not None:
                event_type, values = event.event_type.value, event.to_wire()
                given = event.event_id
                if isinstance(given, str) and given:
                    event_id = self._pipeline.own_id(given)
            encoded = self._pipeline.process(event_type, values, event_id, time_ns)
            if encoded is None:
                self._stats.count("sampled_out")
                return event_id
            record, redactions = encoded
            if redactions:
                self._stats.redact(redactions)
            if not self._delivery.submit(record):
                self._stats.reject("closed")
                self._problems.report("closed", "Events logged after close() are dropped.")
            elif self._logger.isEnabledFor(DEBUG):
                run_id = self._pipeline.run_id(record)
                self._logger.debug("logged %s %s run=%s", event_type, event_id, run_id)
        except Exception as failure:
            self._stats.reject("internal_error")
            self._problems.report(
                f"internal {type(failure).__name__}",
                f"An event could not be logged: {type(failure).__name__}. It is dropped and"
                " counted.",
            )
        return event_id
