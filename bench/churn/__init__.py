"""Calls made and dropped in every way there is: what is left of them in the services.

`ways` are the clients, one coroutine for each way to leave; `held` reads what a service
holds, from the kernel and from its /metrics.
"""
