"""A heterogeneous graph transformer with external attention, small and inductive."""
