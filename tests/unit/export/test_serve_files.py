"""The programs of a bundle import one another and what is installed, never Consort; what servers are told is true."""

import ast
from importlib.resources import files
from string import Template

import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.message_factory import GetMessageClass

from consort.export.combination import Combination
from consort.export.onnx_graph import Network, joined
from consort.export.serve_files import PROGRAMS, _requirements, standing_alone
from consort.export.views import whole
from consort.models.families import build
from consort.models.onnx_export import to_onnx

MODULES = {name.removesuffix(".py"): package for name, package in PROGRAMS.items() if name.endswith(".py")}


@pytest.mark.parametrize(("name", "package"), MODULES.items())
def test_a_program_finds_what_it_imports_beside_it(name: str, package: str) -> None:
    source = files(package).joinpath(f"{name}.py").read_text()
    before, after = imported(source), imported(standing_alone(source))
    own = {module for module in before if module.split(".")[0] == "consort"}
    assert not {module for module in after if module.split(".")[0] == "consort"}
    assert {module.rpartition(".")[2] for module in own} <= after & MODULES.keys()


def imported(source: str) -> set[str]:
    """The modules that a program imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def triton_config(text: str):
    """Read by protobuf, over the fields of Triton's ModelConfig (model_config.proto) that are used here."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    file.enum_type.add(name="DataType").value.extend(
        descriptor_pb2.EnumValueDescriptorProto(name=f"TYPE_{name}", number=number)
        for name, number in (("INVALID", 0), ("UINT8", 2), ("INT32", 8), ("FP32", 11)))
    kinds = {"string": 9, "int32": 5, "int64": 3, "uint64": 4}

    def message(name: str, *fields: tuple[str, int, str, bool]) -> None:
        made = file.message_type.add(name=name)
        for field, number, kind, many in fields:
            one = made.field.add(name=field, number=number, label=3 if many else 1)
            if kind in kinds:
                one.type = kinds[kind]
            else:
                one.type, one.type_name = (14 if kind == "DataType" else 11), f".inference.{kind}"

    message("Shape", ("shape", 1, "int64", True))
    message("ModelInput", ("name", 1, "string", False), ("data_type", 2, "DataType", False), ("dims", 4, "int64", True))
    message("ModelOutput", ("name", 1, "string", False), ("data_type", 2, "DataType", False),
            ("dims", 3, "int64", True), ("reshape", 5, "Shape", False))
    message("ModelDynamicBatching", ("max_queue_delay_microseconds", 2, "uint64", False))
    message("ModelConfig", ("name", 1, "string", False), ("platform", 2, "string", False),
            ("max_batch_size", 4, "int32", False), ("input", 5, "ModelInput", True), ("output", 6, "ModelOutput", True),
            ("dynamic_batching", 11, "ModelDynamicBatching", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return text_format.Parse(text, GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))())


def graph_shape(tensor: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim]


def test_triton_is_told_the_graphs_inputs_and_outputs_without_their_batch() -> None:
    """With a max_batch_size, dims are those of one image; a scalar of each has dims [1], reshaped to none."""
    view = whole((8, 6), (0.5,) * 3, (0.5,) * 3)
    network = Network(to_onnx(build("wrn-10-1", 5), "wrn-10-1", (8, 6)), view)
    graph = joined([network], Combination((1,), "geometric", (1.0,)), (8, 6), 5).graph
    text = Template(files("consort.export").joinpath("templates/config.pbtxt").read_text()).substitute(
        name="small-c1", height=8, width=6, classes=5)
    config = triton_config(text)
    assert config.name == "small-c1" and config.platform == "onnxruntime_onnx"
    assert config.max_batch_size == 64 and config.dynamic_batching.max_queue_delay_microseconds > 0
    types = {2: onnx.TensorProto.UINT8, 8: onnx.TensorProto.INT32, 11: onnx.TensorProto.FLOAT}
    told = {t.name: (types[t.data_type], list(t.dims)) for t in config.input}
    told |= {t.name: (types[t.data_type], list(t.reshape.shape if t.HasField("reshape") else t.dims))
             for t in config.output}
    assert told == {t.name: (t.type.tensor_type.elem_type, graph_shape(t)[1:]) for t in [*graph.input, *graph.output]}
    assert all(graph_shape(t)[0] == "N" for t in [*graph.input, *graph.output])


def test_a_container_gets_pinned_versions_runs_as_nobody_and_tells_its_health() -> None:
    template = Template(files("consort.export").joinpath("templates/Dockerfile").read_text())
    requirements = _requirements("onnxruntime", "1.30.0")
    lines = template.substitute(name="c1", python="3.11", requirements=requirements).splitlines()
    [install] = [line for line in lines if line.startswith("RUN pip install")]
    packages = install.split()[4:]
    assert packages[0] == "onnxruntime==1.30.0"
    assert [p.split("==")[0] for p in packages] == ["onnxruntime", "numpy", "pillow", "starlette", "uvicorn"]
    assert all("==" in package for package in packages)
    assert "USER 1000:1000" in lines and any(line.startswith("HEALTHCHECK") for line in lines)
    assert not [line for line in lines if line.startswith("FROM") and line.endswith((":latest", "python"))]
