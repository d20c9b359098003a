"""The files that pages load: read once, packed once, and kept by browsers for good."""

from __future__ import annotations

import gzip
import hashlib
import logging
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

_log = logging.getLogger(__name__)

# What a browser asks for, and the files that it is made of, in their order. A folder stands for all
# of its files that were not named before.
_BUNDLES: Final[Mapping[str, tuple[str, ...]]] = {
    "style.css": ("vendor/uplot.css", "css/base.css", "css/layout.css", "css/parts.css", "css"),
    "app.js": ("js",),
    "htmx.js": ("vendor/htmx.js",),
    "uplot.js": ("vendor/uplot.js",),
    "icon.svg": ("icon.svg",),
}
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    packed: bytes
    address: str


class Assets:
    """Serve the files that pages load, each under an address that holds a hash of its content.

    A file that npm fetches and that is not there is left out, and the log says what to do. Safe to
    use from any thread.
    """

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder or files("watchllm_server.pages") / "static"
        self._assets: dict[str, _Asset] = {}
        missing = []
        for name, parts in _BUNDLES.items():
            there = _files(folder, parts)
            missing += [
                part
                for part in parts
                if not ((folder / part).is_dir() or (folder / part).is_file())
            ]
            if there:
                self._assets[name] = _asset(name, b"\n".join(part.read_bytes() for part in there))
        if missing:
            _log.warning(
                "The pages have neither charts nor shortcuts, for %s is not there: install the "
                "server again, which fetches it with npm.",
                ", ".join(missing),
            )
        self._by_address = {asset.address: name for name, asset in self._assets.items()}

    def address(self, name: str) -> str:
        """Return where a file is served; empty when it is not there."""
        asset = self._assets.get(name)
        return asset.address if asset else ""

    def answer(self, request: Request) -> Response:
        """Answer with the file at an address, or 404."""
        name = self._by_address.get(request.url.path)
        if name is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        asset = self._assets[name]
        headers = {"Cache-Control": _FOR_GOOD, "Vary": "Accept-Encoding"}
        content = asset.content
        if takes_gzip(request):
            content, headers["Content-Encoding"] = asset.packed, "gzip"
        return Response(content, 200, headers, _TYPES[name.rpartition(".")[2]])


def takes_gzip(request: Request) -> bool:
    """Tell whether a browser unpacks gzip."""
    accepted = request.headers.get("accept-encoding", "").replace(" ", "").split(",")
    return "gzip" in accepted


def _files(folder: Traversable, parts: tuple[str, ...]) -> list[Traversable]:
    found: dict[str, Traversable] = {}
    for part in parts:
        place = folder / part
        if place.is_dir():
            inside = {f"{part}/{file.name}": file for file in place.iterdir()}
            found = {**found, **{name: inside[name] for name in sorted(inside.keys() - found)}}
        elif place.is_file():
            found[part] = place
    return list(found.values())


def _asset(name: str, content: bytes) -> _Asset:
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:12]
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    return _Asset(content, packed, f"/static/{stem}.{digest}.{kind}")
