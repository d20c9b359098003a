"""Servers that take the same spans, side by side: what storing them costs, and what is lost."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent.parent))  # for the load of all benchmarks
