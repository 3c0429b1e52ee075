"""Scoring variants and showing the evidence."""
