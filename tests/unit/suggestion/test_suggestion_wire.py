"""The messages have the numbers of Katib 0.19 (pkg/apis/manager/v1beta1/api.proto)."""

from google.protobuf.descriptor import Descriptor

from consort.suggestion import api_pb2 as api

FIELDS = {
    "GetSuggestionsRequest": {"experiment": 1, "trials": 2, "current_request_number": 4, "total_request_number": 5},
    "GetSuggestionsReply": {"parameter_assignments": 1},
    "GetSuggestionsReply.ParameterAssignments": {"assignments": 1},
    "ValidateAlgorithmSettingsRequest": {"experiment": 1},
    "ValidateAlgorithmSettingsReply": {},
    "Experiment": {"name": 1, "spec": 2},
    "ExperimentSpec": {"parameter_specs": 1, "objective": 2, "algorithm": 3},
    "ExperimentSpec.ParameterSpecs": {"parameters": 1},
    "ParameterSpec": {"name": 1, "parameter_type": 2, "feasible_space": 3},
    "FeasibleSpace": {"list": 3},
    "ObjectiveSpec": {"type": 1, "objective_metric_name": 3},
    "AlgorithmSpec": {"algorithm_name": 1, "algorithm_settings": 2},
    "AlgorithmSetting": {"name": 1, "value": 2},
    "Trial": {"name": 1, "spec": 2, "status": 3},
    "TrialSpec": {"parameter_assignments": 3},
    "TrialSpec.ParameterAssignments": {"assignments": 1},
    "ParameterAssignment": {"name": 1, "value": 2},
    "TrialStatus": {"start_time": 1, "completion_time": 2, "condition": 3, "observation": 4},
    "Observation": {"metrics": 1},
    "Metric": {"name": 1, "value": 2},
}
ENUMS = {
    "ParameterType": {"UNKNOWN_TYPE": 0, "DOUBLE": 1, "INT": 2, "DISCRETE": 3, "CATEGORICAL": 4},
    "ObjectiveType": {"UNKNOWN": 0, "MINIMIZE": 1, "MAXIMIZE": 2},
    "TrialConditionType": {"CREATED": 0, "RUNNING": 1, "SUCCEEDED": 2, "KILLED": 3, "FAILED": 4,
                           "METRICSUNAVAILABLE": 5, "EARLYSTOPPED": 6, "UNKNOWN": 7},
}
# A GetSuggestionsRequest as the stubs made of Katib's own file write it, with fields that ours leaves out: an
# Experiment with a goal, parallel and maximum trial counts, and a Trial with labels.
FROM_KATIB = (
    "0a7b0a0664696769747312710a230a210a0b6d315f73315f626c6f636b10041a101a04776964651a066d62636f6e76280112"
    "1f080211ae47e17a14aeef3f1a06726577617264220a6c6174656e63795f6d731a250a11636f6e736f72742d65766f6c7574"
    "696f6e12100a0a706f70756c6174696f6e120232302802303c1295010a0f6469676974732d38666b326c713978122d120a08"
    "021a067265776172641a170a150a0b6d315f73315f626c6f636b12066d62636f6e7622060a01611201621a530a1432303236"
    "2d31312d32345431303a30303a30305a1214323032362d31312d32345431303a30313a30305a180222230a0e0a0672657761"
    "72641204302e36310a110a0a6c6174656e63795f6d731203302e3820022803")


def messages() -> dict[str, Descriptor]:
    top = dict(api.DESCRIPTOR.message_types_by_name)
    return top | {f"{name}.{inner.name}": inner for name, message in top.items() for inner in message.nested_types}


def test_every_field_has_katibs_number():
    assert {name: {f.name: f.number for f in m.fields} for name, m in messages().items()} == FIELDS


def test_every_enum_has_katibs_values():
    enums = [*api.DESCRIPTOR.enum_types_by_name.values(), *messages()["TrialStatus"].enum_types]
    assert {e.name: {v.name: v.number for v in e.values} for e in enums} == ENUMS


def test_the_service_has_katibs_name_and_methods():
    service = api.DESCRIPTOR.services_by_name["Suggestion"]
    assert service.full_name == "api.v1.beta1.Suggestion"
    assert {m.name: (m.input_type.name, m.output_type.name) for m in service.methods} == {
        "GetSuggestions": ("GetSuggestionsRequest", "GetSuggestionsReply"),
        "ValidateAlgorithmSettings": ("ValidateAlgorithmSettingsRequest", "ValidateAlgorithmSettingsReply")}


def test_a_request_that_katibs_own_stubs_wrote_is_read_with_the_fields_that_are_not_ours_skipped():
    request = api.GetSuggestionsRequest.FromString(bytes.fromhex(FROM_KATIB))
    spec = request.experiment.spec
    assert spec.algorithm.algorithm_name == "consort-evolution"
    assert spec.algorithm.algorithm_settings[0].name == "population"
    assert spec.objective.type == api.MAXIMIZE and spec.objective.objective_metric_name == "reward"
    assert list(spec.parameter_specs.parameters[0].feasible_space.list) == ["wide", "mbconv"]
    assert spec.parameter_specs.parameters[0].parameter_type == api.CATEGORICAL
    assert (request.current_request_number, request.total_request_number) == (2, 3)
    trial = request.trials[0]
    assert trial.name == "digits-8fk2lq9x" and trial.status.condition == api.TrialStatus.SUCCEEDED
    assert trial.spec.parameter_assignments.assignments[0].value == "mbconv"
    assert [m.name for m in trial.status.observation.metrics] == ["reward", "latency_ms"]
    assert trial.status.completion_time == "2026-11-24T10:01:00Z"
