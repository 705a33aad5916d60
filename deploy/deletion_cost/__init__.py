"""Tells Kubernetes which pods hold the fewest calls: those are taken away first.

One process a region, with a token that may read and annotate the pods of its namespace;
the pods that hold calls have none.
"""
