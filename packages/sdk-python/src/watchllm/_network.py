"""The way to the collector: proxies and authorities from the environment."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from urllib3 import PoolManager

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # OpenSSL itself heeds SSL_CERT_FILE and _DIR


class NoWay(Exception):  # noqa: N818 - it is a reason to wait like any other of the network
    """Say why the environment leads nowhere."""


def manager(base_url: str, environ: Mapping[str, str]) -> PoolManager:
    """Return what makes connections to an address, as the environment wants them.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say which proxy to use, in small letters too;
    REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE which authorities to trust instead of the system's. Raises
    NoWay if a proxy is wrong or needs a package.
    """
    import urllib3

    options: dict[str, Any] = {"maxsize": 1, "cert_reqs": "CERT_REQUIRED", **_authorities(environ)}
    proxy = _proxy(base_url)
    if proxy is None:
        return urllib3.PoolManager(**options)
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(proxy)
    shown = f"{parts.scheme}://{parts.hostname}"
    if parts.scheme.startswith("socks"):
        from importlib.util import find_spec

        if find_spec("socks") is None:
            raise NoWay(f"the proxy {shown} needs a package: pip install pysocks")
        from urllib3.contrib.socks import SOCKSProxyManager

        return SOCKSProxyManager(proxy, **options)
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=user)
    try:
        return urllib3.ProxyManager(proxy, **options)
    except (ValueError, urllib3.exceptions.HTTPError):
        raise NoWay(f"the proxy {shown} of the environment is none") from None


def is_loopback(base_url: str) -> bool:
    """Say whether an address is on this machine, where compressing a body saves nothing."""
    from urllib.parse import urlsplit

    host = urlsplit(base_url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _proxy(base_url: str) -> str | None:
    # Not getproxies(): on macOS that asks the system, which must not be done after a fork.
    from urllib import request
    from urllib.parse import urlsplit

    parts = urlsplit(base_url)
    proxies = request.getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    bypass: Any = getattr(request, "proxy_bypass_environment")  # noqa: B009 - typeshed lacks it
    if not proxy or bypass(parts.netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _authorities(environ: Mapping[str, str]) -> dict[str, str]:
    for name in BUNDLES:
        path = environ.get(name)
        if path and os.path.exists(path):
            return {"ca_cert_dir" if os.path.isdir(path) else "ca_certs": path}
    return {}
