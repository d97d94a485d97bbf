#!/bin/bash
# onnx 1.23.2: a weight stored as a sparse_initializer passes the checker and runs in onnxruntime, but not in onnx's own tools.
#
# ONNX has a field for sparse weights since IR version 5, which looks made for pruned networks: values and their positions instead of all
# those zeros. A product with such a weight (3 of 9 values) passes check_model, and onnxruntime 1.32.0 computes the right result. Of the
# package that defines the format, strict shape inference takes the weight for a scalar, the reference evaluator and the extractor of
# sub-models raise, and the converter between opset versions does not find the weight. With the same weight stored densely all of them
# work. So an export of a sparse model that others shall read, check or convert has to be dense.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$dir/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference, version_converter
from onnx.reference import ReferenceEvaluator
from onnx.utils import Extractor

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
weight = np.array([[0, 2, 0], [0, 0, 3], [1, 0, 0]], np.float32)
x = np.array([[1, 10, 100]], np.float32)


def model(sparse):
    sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])] for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", *sides)
    if sparse:
        places = np.flatnonzero(weight)
        values = helper.make_tensor("w", TensorProto.FLOAT, [len(places)], weight.ravel()[places])
        places = helper.make_tensor("w_places", TensorProto.INT64, [len(places)], places)
        graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, weight.shape))
    else:
        graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def right(results):
    return np.array_equal(results[0], x @ weight)


tools = {
    "checker": lambda m: checker.check_model(m) is None,
    "onnxruntime": lambda m: right(onnxruntime.InferenceSession(m.SerializeToString()).run(None, {"x": x})),
    "shape inference": lambda m: len(shape_inference.infer_shapes(m, strict_mode=True).graph.output) == 1,
    "reference evaluator": lambda m: right(ReferenceEvaluator(m).run(None, {"x": x})),
    "version converter": lambda m: version_converter.convert_version(m, 18).opset_import[0].version == 18,
    "extractor": lambda m: len(Extractor(m).extract_model(["x"], ["y"]).graph.node) == 1,
}


def outcome(tool, m):
    try:
        return "works" if tool(m) else "is wrong"
    except Exception as error:
        return f"raises {type(error).__name__}: {str(error).strip().splitlines()[0]}"


for name, tool in tools.items():
    dense, sparse = outcome(tool, model(False)), outcome(tool, model(True))
    print(f"{name}: dense {dense}; sparse {sparse}")
    assert dense == "works", dense
    assert sparse.split()[0] == ("works" if name in ("checker", "onnxruntime") else "raises"), f"the behaviour has changed: {sparse}"
PYTHON
# Seen on 2026-11-28, the dense weight working everywhere:
#   checker, onnxruntime: works
#   shape inference: raises InferenceError: ... (op_type:MatMul): [ShapeInferenceError] Input tensors of wrong rank (0).
#   reference evaluator: raises ValueError: Protocol message SparseTensorProto has no "data_location" field.
#   version converter: raises ConvertError: Input w is undefined!
#   extractor: raises ValueError: len_sparse_initializer is 1, it must be 0.
