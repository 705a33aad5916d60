"""What every Tandem process runs on: settings, logs, status pages, the main loop.

Owns nothing of calls, sessions or the link; imports neither `proto` nor a service.
"""
