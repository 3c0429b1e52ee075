"""Sequence, motif, signal and text encoders (arrive with the sequence-model issue)."""
