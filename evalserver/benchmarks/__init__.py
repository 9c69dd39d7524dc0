"""Benchmarks, their phases, volumes and ground truth."""
