"""Ask someone, yield reports: one module per engine, and the loop."""
