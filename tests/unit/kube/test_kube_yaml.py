"""YAML that reads back as what was written, under the rules that kubectl has too."""


import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from consort.kube.images import Images
from consort.kube.member_job import member_job
from consort.kube.yaml import to_yaml
from consort.study.file import Study

untimed = settings(deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from([
    "", "1", "1.5", "12e4567890", "0x1f", "1_000", "yes", "No", "null", "~", "true", "on", "=", "<<", "a: b", "a:",
    "- a", "-", "---", "#a", "a #b", "2026-11-24", "1:30", ".inf", "nan", " a", "a ", "*a", "&a", "!a", "%a", "@a",
    "\t", "a\nb", "\x85", "\u2028", "\ufeff", "{}", "[]", "'", '"', "--member", "--", "s3://b/p", "café", "😀"])
values = st.recursive(
    texts | st.booleans() | st.none() | st.integers(-2**63, 2**63),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12)


@untimed
@given(st.lists(st.dictionaries(texts, values, max_size=4).map(lambda spec: {"metadata": {"name": "a"}, "spec": spec}),
                max_size=3))
def test_what_is_written_reads_back(objects):
    assert list(yaml.safe_load_all("".join(to_yaml(objects)))) == objects


@pytest.mark.parametrize("text", ["0123456789", "12e4567890", "1234567890", "0e12345678", "y", "No", "1:30", "0o17"])
def test_text_that_some_version_of_yaml_reads_as_something_else_is_quoted(text):
    # YAML 1.1 and 1.2 differ, and so do PyYAML and Kubernetes' parser: a hash such as 12e4567890 is a number to one.
    document, = to_yaml([{"metadata": {"name": "a", "labels": {"hash": text}}}])
    assert f'hash: "{text}"' in document


def test_a_document_reads_like_kubectls():
    document, = to_yaml([{"kind": "Job", "metadata": {"name": "a"}, "spec": {
        "list": [{"name": "b", "args": ["--x", "1"]}, {"name": "c", "env": []}], "empty": {}, "flag": True,
        "number": 3}}])
    assert document == """---
kind: Job
metadata:
  name: a
spec:
  list:
  - name: b
    args:
    - --x
    - "1"
  - name: c
    env: []
  empty: {}
  flag: true
  number: 3
"""


def jobs(number: int, **tables: object) -> list[dict]:
    study = Study.model_validate({"name": "big", "data": {"source": "digits"}, "architectures": {"wrn-16-1": number},
                                  **tables})
    return [member_job([f"wrn-16-1-s{i}-{i:010x}"], "s3://bucket/p", study, "0123456789", Images("plain", "torch"))
            for i in range(number)]


def test_jobs_of_members_and_other_objects_in_any_order_read_back():
    first, second = jobs(2), jobs(2, cluster={"nodes": 2})
    other = {"metadata": {"name": "a", "labels": {}}}
    mixed = [first[0], second[0], other, first[1], first[0], other, {**second[1], "metadata": {"name": "bare"}}]
    assert list(yaml.safe_load_all("".join(to_yaml(mixed)))) == mixed
