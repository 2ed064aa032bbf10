"""Selection, grouping, and batches: where ragged becomes rectangular."""
