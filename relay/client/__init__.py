"""What stands between a client and its session: what it may send, what it gets."""
