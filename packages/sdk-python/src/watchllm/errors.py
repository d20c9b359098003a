"""What the SDK may raise.

    WatchLLMError
    └── ConfigurationError   a client was created with wrong or missing settings

Only creating a client raises. The methods of a client never do: what they cannot use is described
in the event, and what they cannot keep is counted in `WatchLLMClient.stats()`.
"""

from __future__ import annotations


class WatchLLMError(Exception):
    """Base of everything that the SDK raises."""


class ConfigurationError(WatchLLMError, ValueError):
    """Say which settings are wrong or missing, and what is allowed."""
