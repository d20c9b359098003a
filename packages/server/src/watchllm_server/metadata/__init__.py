"""Projects, keys, prices, browser sessions and notes of erasures."""

from watchllm_server.metadata.database import Metadata
from watchllm_server.metadata.keys import SCOPES, Grant, Scope
from watchllm_server.metadata.models import (
    ApiKey,
    Erasure,
    Limit,
    ModelPrice,
    Project,
    ProviderKey,
)

__all__ = [
    "SCOPES",
    "ApiKey",
    "Erasure",
    "Grant",
    "Limit",
    "Metadata",
    "ModelPrice",
    "Project",
    "ProviderKey",
    "Scope",
]
