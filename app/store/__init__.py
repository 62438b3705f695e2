"""How things are kept: engine, models, statements. The only package that knows SQL."""
