"""Cost: parameters, MACs, bytes and shapes by module, and what public counters report."""

from analysis.cost.operators import register
from analysis.cost.trace import Cost, CostError, measure

__all__ = ["Cost", "CostError", "measure", "register"]
