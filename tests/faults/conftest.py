"""The undisturbed run that everything is compared with, and the account of what was done to the others."""

from collections import Counter
from types import SimpleNamespace

import http_server
import pytest
import workplace

TALLY = Counter()


def pytest_terminal_summary(terminalreporter):
    if TALLY:
        told = ", ".join(f"{count} {what}" for what, count in sorted(TALLY.items()))
        terminalreporter.write_line(f"faults: {told}")


@pytest.fixture(scope="session")
def tally():
    """Counts, by what was done."""
    return TALLY


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, long):
    """A finished run of the tiny workflow: `.place`, and `.steps`, what each of its steps has done."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with http_server.serve() as server:
        package = workplace.package(folder / "src", server)
        place = workplace.Workplace(folder / "run", package, workplace.LONG if long else workplace.SHORT)
        place.complete(record=folder / "steps")
        assert place.stray() == []
        yield SimpleNamespace(place=place, steps=workplace.attempts(folder / "steps"))
