"""The demo organism: a simulated species with known causal variants."""

from data_registry.demo_organism.files import (
    DEFAULT_SEED,
    DemoFile,
    DemoFiles,
    build_demo,
)

__all__ = ["DEFAULT_SEED", "DemoFile", "DemoFiles", "build_demo"]
