"""An exception as the ErrorInfo of the wire."""

from __future__ import annotations

from watchllm._enums import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Return the type, message and traceback of an exception, with those it was raised from.

    Whatever the exception's own methods raise is described in their place.
    """
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception as failure:
        message = f"[no message: str() raised {type(failure).__name__}]"
    info: dict[str, Any] = {"message": message, "type": kind}
    code = _code(error)
    if code is not None:
        info["code"] = code
    try:
        import traceback

        info["stack"] = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as failure:
        info["stack"] = f"[no traceback: formatting it raised {type(failure).__name__}]"
    return info


def status_of(error: BaseException) -> Status:
    """Return TIMEOUT for what is named so, by whichever library, else ERROR."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return Status.TIMEOUT if any("Timeout" in name for name in names) else Status.ERROR


def _code(error: BaseException) -> str | None:
    """Return the `code` that clients of LLM providers set on their exceptions, if it is one."""
    try:
        code = getattr(error, "code", None)
    except Exception:
        return None
    return code if isinstance(code, str) and code else None
