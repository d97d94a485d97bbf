#!/bin/bash
# tf_keras 2.21.0: BatchNormalization's running variance divides by n - 1 for images and by n for vectors and sequences.
#
# One layer, one momentum, the same two values per channel, 1 and 3: their variance is 1 when divided by n and 2 by n - 1. Shaped as
# a batch of vectors (2, 1) or as a sequence (1, 2, 1) the running variance gets 1, as an image (1, 2, 1, 1) or a volume it gets 2. Four and five
# dimensions take the fused kernel, which corrects; the others do not. Keras 3 divides by n for all of them, PyTorch by n - 1 for all. Small
# batches make the difference large, and an oracle for batch norm must be asked with the shape that is meant.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 tf_keras==2.21.0 keras==3.15.1
TF_CPP_MIN_LOG_LEVEL=3 "$dir/venv/bin/python" -W ignore - <<'PYTHON'
import keras
import numpy as np
import tensorflow as tf
import tf_keras

print("tensorflow", tf.__version__, "tf_keras", tf_keras.__version__, "keras", keras.__version__)


def running_variance(library, *shape):
    # With momentum 0 the running variance is that of the last batch.
    layer = library.layers.BatchNormalization(momentum=0.0)
    layer(np.array([1.0, 3.0], "float32").reshape(shape), training=True)
    return round(float(np.asarray(layer.moving_variance)[0]), 4)


shapes = ((2, 1), (1, 2, 1), (1, 2, 1, 1), (1, 2, 1, 1, 1))
found = {library.__name__: [running_variance(library, *shape) for shape in shapes] for library in (tf_keras, keras)}
print("shapes:  ", *shapes)
print("tf_keras:", *found["tf_keras"])
print("keras 3: ", *found["keras"])
assert found["keras"] == [1.0, 1.0, 1.0, 1.0], found
assert found["tf_keras"] == [1.0, 1.0, 2.0, 2.0], f"the behaviour has changed: {found}"
PYTHON
# Seen on 2026-11-28:
#   shapes:   (2, 1) (1, 2, 1) (1, 2, 1, 1) (1, 2, 1, 1, 1)
#   tf_keras: 1.0 1.0 2.0 2.0
#   keras 3:  1.0 1.0 1.0 1.0
