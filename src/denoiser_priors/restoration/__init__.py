"""Linear inverse problems: measurement operators and the classical reconstructions that others are compared with."""
