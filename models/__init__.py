"""From graph tables to PyG ``HeteroData``; the learned models arrive later."""
