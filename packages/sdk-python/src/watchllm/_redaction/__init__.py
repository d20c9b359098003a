"""Copy any value into data that JSON knows, with personal data replaced on the way."""

from watchllm._redaction._card import CardDetector
from watchllm._redaction._email import EmailDetector
from watchllm._redaction._walk import DEFAULT_DETECTORS, FAILED, Detector, Walk

__all__ = ["DEFAULT_DETECTORS", "FAILED", "CardDetector", "Detector", "EmailDetector", "Walk"]
