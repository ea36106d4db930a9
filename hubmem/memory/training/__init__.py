"""A step of training: what stands in memory for it, its moments, and who holds which part."""
