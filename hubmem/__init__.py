"""Will it fit, and why? Exact memory plans for Hugging Face Hub models."""

__version__ = "0.1.0"
