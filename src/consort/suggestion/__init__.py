"""Consort's samplers as a suggestion service of Katib: a gRPC server that keeps nothing between two calls.

`history` turns messages into arguments of `consort.samplers`, `service` answers the calls, `server` listens.
"""
