"""How fast the suite is, against plain references and the machine's own limits in one run: `python -m benchmarks`."""
