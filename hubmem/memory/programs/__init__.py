"""Models as programs: what their code allocates, keeps and frees, operator by operator."""
