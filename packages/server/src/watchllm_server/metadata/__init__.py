"""Projects and keys."""

from watchllm_server.metadata.database import Metadata
from watchllm_server.metadata.models import ApiKey, Project

__all__ = ["ApiKey", "Metadata", "Project"]
