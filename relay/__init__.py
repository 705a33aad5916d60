"""The relay: one session a call, between the link and a Realtime API.

Owns the conversation's clock: what the model says, when it leaves for the caller, what
of it was heard, and what happens when the caller barges in.
"""
