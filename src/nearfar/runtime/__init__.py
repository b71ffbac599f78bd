"""How to compute, never what: settings, the cache, jobs here or in processes, one BLAS thread."""
