"""The two calls of Katib's `api.v1.beta1.Suggestion`, each a pure function of its request."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from consort import samplers
from consort.errors import ConsortError, InputError
from consort.suggestion import api_pb2 as api
from consort.suggestion.history import past, search_of, seed_of_call

SERVICE = "api.v1.beta1.Suggestion"
LARGEST_REQUEST = 10_000
"""Suggestions in one call; Katib asks for as many as run at a time."""

log = logging.getLogger(__name__)


def get_suggestions(request: api.GetSuggestionsRequest) -> api.GetSuggestionsReply:
    """As many assignments as are asked for, never more nor fewer: Katib asks again for ever otherwise."""
    number = request.current_request_number
    if not 0 <= number <= LARGEST_REQUEST:
        raise InputError(f"current_request_number is 0 to {LARGEST_REQUEST}, got {number}.")
    search = search_of(request.experiment)
    finished, pending = past(search, request.trials)
    encodings = samplers.suggest(search.sampler, search.space, finished, number, pending=pending,
                                 seed=seed_of_call(search, request), settings=search.settings,
                                 objective=search.objective)
    assignments = (search.space.assignments(encoding) for encoding in encodings)
    return api.GetSuggestionsReply(parameter_assignments=[
        api.GetSuggestionsReply.ParameterAssignments(assignments=[
            api.ParameterAssignment(name=name, value=value) for name, value in chosen.items()])
        for chosen in assignments])


def validate_settings(request: api.ValidateAlgorithmSettingsRequest) -> api.ValidateAlgorithmSettingsReply:
    """Raises InputError for settings or parameters that no suggestion can be made with."""
    search_of(request.experiment)
    return api.ValidateAlgorithmSettingsReply()


def handler() -> grpc.GenericRpcHandler:
    """Both calls, for a gRPC server."""
    return grpc.method_handlers_generic_handler(SERVICE, {
        "GetSuggestions": _answering(api.GetSuggestionsRequest, get_suggestions),
        "ValidateAlgorithmSettings": _answering(api.ValidateAlgorithmSettingsRequest, validate_settings)})


def _answering(message: Callable[[], Any], answer: Callable[[Any], Message]) -> grpc.RpcMethodHandler:
    """A handler that answers every request, the malformed ones too, with a reply or a status that says what is wrong.

    Bytes are parsed here and not by gRPC, which would answer what it cannot parse without saying why.
    """
    def handle(data: bytes, context: grpc.ServicerContext) -> Message | None:
        try:
            request = message()
            request.ParseFromString(data)
            return answer(request)
        except DecodeError as e:
            text, code = f"the request is no {message.__name__}: {e}.", grpc.StatusCode.INVALID_ARGUMENT
        except InputError as e:
            text, code = str(e), grpc.StatusCode.INVALID_ARGUMENT
        except ConsortError as e:
            text, code = str(e), grpc.StatusCode.FAILED_PRECONDITION
        except Exception as e:
            log.exception("a defect of Consort")
            text, code = f"a defect of Consort: {type(e).__name__}: {e}", grpc.StatusCode.INTERNAL
        return context.abort(code, text)  # raises

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=lambda reply: reply.SerializeToString())
