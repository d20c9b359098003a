"""Write the parts of the documentation that come from the code; with --check, compare them only.

Run `python docs/generate.py` after a setting or a route was added or changed; `make test` compares.
"""

from __future__ import annotations

import json
import re
import sys
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchllm._config import SETTINGS as SDK_SETTINGS  # the one declaration of each setting
from watchllm_server.api.admin_openapi import SCHEMAS
from watchllm_server.api.openapi import OPERATIONS, document
from watchllm_server.api.params import EVENT_PARAMETERS, Parameter
from watchllm_server.mcp.tools import TOOLS
from watchllm_server.provider_settings import PROVIDER_SETTINGS, variable_of
from watchllm_server.settings import SETTINGS as SERVER_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from watchllm_server.api.described import Operation

DOCS = Path(__file__).parent
CONTRACT = DOCS.parent / "contract"
MARK = "<!-- What follows is written by docs/generate.py from the declarations in the code. -->\n"
HEAD = """# Settings

<!-- Written by docs/generate.py from the declarations in the code. -->
"""
EVENTS_HEAD = """# Fields of events

<!-- Written by docs/generate.py from contract/event.schema.json. -->

What a sender sends for one event. The SDK fills these in; from another language post them to
[`/v1/events/batch`](http-api.md#post-v1eventsbatch). A value that is not known is left out.

The server is more lenient than this page: it takes null as absent, fills in `project_id`, `env`,
`tags` and `client`, keeps fields that are not named here, and stores types that it does not know.

## Every event
"""
SDK_HEAD = """
## SDK

An argument of `WatchLLMClient(...)` or `watchllm.init(...)` wins over the environment variable,
which wins over the default. An empty variable counts as unset. A wrong argument raises
`ConfigurationError`, which names it and what is allowed; a variable that cannot be used is reported
once by the logger `watchllm`, and the default is used. A `WATCHLLM_BASE_URL` that is no
address raises `ConfigurationError` too: the default would get what is meant for your own server.

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
PROVIDER_HEAD = """
## Providers

What can be said of each provider of the gateway, here of `openai`: by a variable, or by a row of
the table `[providers.openai]` in the file that `--config` names. The variable wins.

| setting | environment variable | default | |
|---|---|---|---|
"""


def shown(default: object) -> str:
    """Return a default as the table shows it."""
    return "" if default in (None, "") else f"`{default}`"


def settings_page() -> str:
    """Return the page of settings as it has to be."""
    sdk, server = (
        "".join(f"| `{s.name}` | `{s.env}` | {shown(s.default)} | {s.help} |\n" for s in settings)
        for settings in (SDK_SETTINGS, SERVER_SETTINGS)
    )
    providers = "".join(
        f"| `{s.name}` | `{variable_of('openai', s.name)}` | {shown(s.default)} | {s.help} |\n"
        for s in PROVIDER_SETTINGS
    )
    return HEAD + SDK_HEAD + sdk + SERVER_HEAD + server + PROVIDER_HEAD + providers


def kind_of(parameter: Parameter) -> str:
    """Return what a parameter may be, as its table shows it."""
    if parameter.choices:
        of = "any of " if parameter.kind == "texts" else ""
        return of + ", ".join(f"`{choice}`" for choice in parameter.choices)
    names = {"text": "text", "texts": "list of texts", "time": "time"}
    return names.get(parameter.kind) or f"1 to {parameter.most}"


def type_of(schema: dict[str, Any]) -> str:
    """Return the type of a field of an answer, as its table shows it."""
    if "anyOf" in schema:
        return " or ".join(type_of(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return ", ".join("null" if each is None else f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    if schema.get("format") == "date-time":
        return "time"
    kind = schema.get("type", "any")
    return kind if isinstance(kind, str) else " or ".join(kind)


def operation_text(operation: Operation) -> str:
    """Return the section of one route."""
    text = f"\n## {operation.method.upper()} {operation.path}\n\n{operation.summary}\n"
    parameters = EVENT_PARAMETERS if operation.body == "EventQuery" else operation.parameters
    if parameters:
        where = "field of the body" if operation.body else "parameter"
        text += f"\n| {where} | value | default | |\n|---|---|---|---|\n"
        for name, known in parameters.items():
            text += f"| `{name}` | {kind_of(known)} | {shown(known.default)} | {known.help} |\n"
    described = document()["paths"][operation.path][operation.method]["responses"]
    answer = operation.answer or " or ".join(f"`{media}`" for media in operation.media)
    problems = ", ".join(status for status in described if status != "200")
    return f"{text}\nAnswers 200 with {answer}; else {problems}.\n"


def above_mark(page: str) -> str:
    """Return what a person wrote of a page, above what is generated."""
    return (DOCS / page).read_text("utf-8").partition(MARK)[0]


def http_page() -> str:
    """Return the page of the HTTP API as it has to be: its head, and what the code declares."""
    head = above_mark("reference/http-api.md")
    shown_above = "/v1/events/batch"
    # What administers has a page of its own.
    shown = [e for e in OPERATIONS if e.path != shown_above and e.admits != "admin"]
    routes = "".join(map(operation_text, shown))
    text = "\n## Answers\n\nEvery field is there; what is not known is null.\n"
    hidden = {"Batch", "BatchAnswer", "Document", "Error", "EventQuery", "StatusAnswer", *SCHEMAS}
    for name, schema in document()["components"]["schemas"].items():
        if name not in hidden:
            # Python 3.13 takes the indentation out of docstrings, and those before it do not.
            told = cleandoc(schema["description"])
            text += f"\n### {name}\n\n{told}\n\n| field | type |\n|---|---|\n"
            for field, kind in schema["properties"].items():
                text += f"| `{field}` | {type_of(kind)} |\n"
    return head + MARK + routes + text


def value_of(schema: dict[str, Any], named: dict[str, Any]) -> str:
    """Return what a field of an event may be, as its table shows it."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return value_of(named[name], named) if "enum" in named[name] else f"[{name}](#{name})"
    if schema.get("type") == "array":
        return f"list of {value_of(schema['items'], named)}"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most == 1:
        return f"{least} to {most}"
    kind = type_of(schema)
    return "anything" if kind == "any" else kind


def field_table(schema: dict[str, Any], named: dict[str, Any]) -> str:
    """Return the fields of an object, those that it must have marked."""
    text = "\n| field | value | |\n|---|---|---|\n"
    for name, of in schema["properties"].items():
        must = "**required.** " if name in schema.get("required", []) else ""
        text += f"| `{name}` | {value_of(of, named)} | {must}{of['description']} |\n"
    return text


def events_page() -> str:
    """Return the page of the fields of events as it has to be."""
    schema = json.loads((CONTRACT / "event.schema.json").read_text("utf-8"))
    named = schema["$defs"]
    text = EVENTS_HEAD + field_table(schema, named)
    for of_type in schema["allOf"]:
        name = of_type["if"]["properties"]["event_type"]["const"]
        text += f"\n## {name}\n{field_table(of_type['then'], named)}"
    for name, of_object in named.items():
        if "properties" in of_object:
            text += f"\n## {name}\n{field_table(of_object, named)}"
    return text


def assistants_page() -> str:
    """Return the page of what assistants may ask, its table of tools as the code declares them."""
    text = "\n| tool | answers | takes |\n|---|---|---|\n"
    for tool in TOOLS:
        takes = ", ".join(f"`{name}`" for name in tool.schema["properties"])
        text += f"| `{tool.name}` | {tool.description} | {takes} |\n"
    return above_mark("howto/assistants.md") + MARK + text


def llms_text() -> str:
    """Return llms.txt: each page with what it is for, in the words of the index.

    A link leads to the page's own Markdown, which the HTML pages have beside them.
    """
    index = (DOCS / "index.md").read_text("utf-8")
    about = index.split("\n\n")[1].replace("\n", " ")
    text = f"# WatchLLM\n\n> {about}\n\n## Pages\n\n"
    rows = re.findall(r"^\| (.+?) \| (\[\].+?) \|$", index, re.MULTILINE)
    purposes = {
        page: purpose for purpose, links in rows for page in re.findall(r"\((.+?)\.md\)", links)
    }
    for page in index.rpartition(":hidden:\n\n")[2].removesuffix("```\n").split():
        if page not in purposes:
            sys.exit(f"The table of docs/index.md does not say what {page}.md is for.")
        title = (DOCS / f"{page}.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
        text += f"- [{title}](_sources/{page}.md.txt): {purposes[page]}\n"
    return text


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/http-api.md": http_page,
    "reference/events.md": events_page,
    "howto/assistants.md": assistants_page,
    "llms.txt": llms_text,
}


def main() -> int:
    """Write the pages, or say which are out of date."""
    stale = 0
    for name, made in PAGES.items():
        wanted = made()
        page = DOCS / name
        if "--check" not in sys.argv[1:]:
            page.write_text(wanted, "utf-8")
        elif not page.is_file() or page.read_text("utf-8") != wanted:
            print(f"{name} is not what the code says: run python docs/generate.py")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
