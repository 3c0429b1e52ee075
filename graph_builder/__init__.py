"""Node and edge types as data; building, validating, digesting and exporting the graph."""
