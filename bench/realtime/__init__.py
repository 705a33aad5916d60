"""The parts of `bench.upstream`: a Realtime server, an edge, and bare clients."""
