"""Everything that is run on this repository, one session each."""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types", "imports", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")


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
    """Run the tests against the installed wheel and report the coverage."""
    session.install(".[all]", *groups("tests"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    # A part of the tests cannot reach the threshold of the whole.
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session
def crash(session: nox.Session) -> None:
    """Kill and freeze emitters and workers; show that no event is lost."""
    session.install(".[testing]")
    session.run("python", "tests/crash/crash.py", *(session.posargs or ["--rounds", "200"]))


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
    session.run("pytest", "--doctest-modules", "--doctest-ignore-import-errors", "--pyargs", "unihooks")


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
    extract = ("pybabel", "extract", "-F", f"{locale}/babel.toml", "-k", "later", "--no-location", "--sort-output")
    session.run(*extract, "-o", template, "src/unihooks/console")
    session.run(
        "pybabel", "update", "-i", template, "-d", locale, "-D", "console", "--no-fuzzy-matching", "--width=120"
    )
    session.run("pybabel", "compile", "-d", locale, "-D", "console")
