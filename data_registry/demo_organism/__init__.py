"""The demo organism: a simulated species with known causal variants."""
