"""Chooses the form before the tests are imported; tells how many inputs there were."""

import fuzzing


def pytest_configure(config):
    if config.getoption("--long"):
        fuzzing.set_long()


def pytest_terminal_summary(terminalreporter):
    if fuzzing.TALLY:
        told = ", ".join(f"{count} {what}" for what, count in sorted(fuzzing.TALLY.items()))
        terminalreporter.write_line(f"inputs: {told}")
