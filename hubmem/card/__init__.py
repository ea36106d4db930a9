"""The memory section of a model card: what it says, where it goes, and what keeps it true."""
