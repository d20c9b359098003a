"""The command `watchllm mcp`."""

from __future__ import annotations

from watchllm_server.errors import StartError
from watchllm_server.transfer.commands import ApiKey, BaseUrl, key_of_project
from watchllm_server.transfer.connection import DEFAULT_BASE_URL, Server

# Each paragraph is one line, which the terminal wraps.
MCP_HELP = """Let an assistant ask about a project's runs, costs and errors.

An assistant starts this command and talks with it on standard input and output, by the Model \
Context Protocol. \
It asks a running server with the key of a project and can only read. \
A key of the scope read is enough: `watchllm keys create --project NAME --scope read`.
"""


def serve_assistant(base_url: BaseUrl = DEFAULT_BASE_URL, api_key: ApiKey = "") -> None:
    """Serve an assistant until it goes."""
    server = Server(base_url, key_of_project(api_key))
    try:
        from watchllm_server.mcp.server import serve  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StartError(
            f"The package {error.name} is missing: pip install 'watchllm-server[mcp]'"
        ) from None
    serve(server)
