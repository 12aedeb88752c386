"""Linear views of a modality, and what is computed from them: one of each, for every room above."""
