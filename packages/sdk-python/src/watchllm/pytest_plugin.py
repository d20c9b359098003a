"""What pytest gets from this package: the fixture `watchllm_events`."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from watchllm.testing import CapturedEvents


@pytest.fixture
def watchllm_events() -> Iterator[CapturedEvents]:
    """Give what the app under test has logged; nothing is sent, and no key is needed."""
    from watchllm.testing import capture

    with capture() as events:
        yield events
