"""What things mean: positions, frontiers, tokens, status, names, roles, errors. No I/O, no clock, no framework."""
