"""Benchmarks: each measures one thing and prints it; none is a test."""
