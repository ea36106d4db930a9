"""hubmem as a GitHub Action: cards and requirements in, a summary, annotations, outputs and a comment out."""
