"""Conversations as users of foreign clients would write them, one program a client.

They run in the environment of requirements/interop.txt and import nothing of Tandem.
"""
