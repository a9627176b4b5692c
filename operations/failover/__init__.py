"""Moving a partition's writer: what is decided (pure), what is recorded, and what carries it out."""
