"""Consort: for a budget of FLOPs or milliseconds, one large network, several small ones, or a cascade?"""

__version__ = "0.1.0"
