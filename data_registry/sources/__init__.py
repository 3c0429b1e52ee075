"""The kinds of source we can register, one file for each family."""
