"""Linear views of a modality, and what is computed from them: one of each, for every room above.

How many principal components: few for few cells, as more would be noise to learn by heart.
"""

FEW_COMPONENTS, MANY_COMPONENTS, MANY_CELLS = 30, 100, 2_000
