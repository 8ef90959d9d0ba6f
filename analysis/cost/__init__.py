"""Cost: parameters, MACs, bytes and shapes by module, and what public counters report."""
