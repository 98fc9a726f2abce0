"""The gRPC server around the service, with the health service that Katib's probes ask."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from consort.errors import InputError
from consort.suggestion.service import handler

PORT = 6789
"""Katib connects to this port."""
HEALTH_NAME = "manager.v1beta1.Suggestion"
"""What Katib's readiness and liveness probes ask for; the service itself has another name."""
THREADS = 4
LARGEST_MESSAGE_BYTES = 256 << 20
"""Every call carries the whole history: 10,000 trials of 54 parameters are about 15 MB."""
GRACE_SECONDS = 20.0
"""What calls have to end when the server is asked to; a pod has 30 s."""


class SuggestionServer:
    """Listens from `start` to `stop`."""

    def __init__(self, port: int = PORT, host: str = "[::]") -> None:
        """port: 0 takes a free one. Raises InputError where the port cannot be had."""
        self._health = health.HealthServicer()
        self._server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[handler()], options=[
            ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES), ("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as e:
            raise InputError(f"port {port} cannot be listened on: another program has it, or it is below 1024. "
                             "Choose another with --port.") from e

    def start(self) -> None:
        for name in ("", HEALTH_NAME):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._server.start()

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Refuse new calls, let those that run end, and return when they have."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()
