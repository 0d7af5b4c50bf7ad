"""Limner answers as fal.ai does for two model endpoints, on your own machine.

The folders, in the order in which a request meets them:

    server ▶ endpoints ▶ requests ▶ worker ▶ endpoints ▶ stages, sketch ▶ files ▶ requests ▶ server
"""

__version__ = "0.1.0"
