"""Run the server's commands as `python -m watchllm_server`."""

import sys

from watchllm_server.cli import main

sys.exit(main(sys.argv[1:]))
