"""Write the parts of the documentation that come from the code; with --check, compare them only.

Run `python docs/generate.py` after a setting was added or changed; `make test` compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from watchllm._config import SETTINGS as SDK_SETTINGS  # the one declaration of each setting
from watchllm_server.settings import SETTINGS as SERVER_SETTINGS

PAGE = Path(__file__).parent / "reference" / "settings.md"
HEAD = """# Settings

<!-- Written by docs/generate.py from the declarations in the code. -->
"""
SDK_HEAD = """
## SDK

An argument of `WatchLLMClient(...)` or `watchllm.init(...)` wins over the environment variable,
which wins over the default. An empty variable counts as unset. A wrong argument raises
`ConfigurationError`, which names it and what is allowed; a variable that cannot be used is reported
once by the logger `watchllm`, and the default is used.

| argument | environment variable | default | |
|---|---|---|---|
"""
SERVER_HEAD = """
## Server

An option of `watchllm serve` wins over the environment variable, which wins over the file that
`--config` names, which wins over the default. The file is TOML with the names of the first column,
as in `port = 8787`.

| setting | environment variable | default | |
|---|---|---|---|
"""


def shown(default: object) -> str:
    """Return a default as the table shows it."""
    return "" if default in (None, "") else f"`{default}`"


def page() -> str:
    """Return the page as it has to be."""
    sdk, server = (
        "".join(f"| `{s.name}` | `{s.env}` | {shown(s.default)} | {s.help} |\n" for s in settings)
        for settings in (SDK_SETTINGS, SERVER_SETTINGS)
    )
    return HEAD + SDK_HEAD + sdk + SERVER_HEAD + server


def main() -> int:
    """Write the page, or say that it is out of date."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, "utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == wanted:
        return 0
    print(f"{PAGE.name} is not what the code says: run python docs/generate.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
