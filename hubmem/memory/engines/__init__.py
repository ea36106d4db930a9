"""What runs a model: one module an engine, and one row in the table of them."""
