"""`python -m watchllm` is the command `watchllm`."""

import sys

from watchllm._cli import main

if __name__ == "__main__":
    sys.exit(main())
