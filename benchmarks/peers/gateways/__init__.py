"""Gateways that pass on the same calls, side by side: what each adds to a call."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))  # for the load of all benchmarks
