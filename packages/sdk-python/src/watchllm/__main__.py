"""`python -m watchllm` is the command `watchllm`."""

import sys

from watchllm._cli import main

if __name__ == "__main__":  # pragma: no cover - test_cli.py runs it as a process
    sys.exit(main())
