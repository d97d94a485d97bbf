#!/bin/bash
# pytorch-lightning 2.6.6: a run with ModelPruning that is stopped and resumed ends dense.
#
# The callback prunes 10 of 20 weights after the first epoch and nothing after that; its masks hold them at zero, and three epochs end
# with 10 zeros. Stopped after two and resumed from its checkpoint for the third, the run ends with none: the checkpoint has the
# weights with the zeros in them, but neither masks nor that there were any, so the zeros train like all others, and the callback
# does not look at what it has pruned before. There is no warning. make_pruning_permanent=False keeps the masks in the checkpoint, but
# then it cannot be resumed: fit() raises, since the new network has no masks to load them into.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.15.0 pytorch-lightning==2.6.6
cd "$dir"
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import logging

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelPruning
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

for name in ("pytorch_lightning", "lightning.pytorch"):
    logging.getLogger(name).setLevel(logging.ERROR)
print("torch", torch.__version__, "pytorch-lightning", pl.__version__)
torch.manual_seed(0)
x = torch.randn(40, 20)
data = DataLoader(TensorDataset(x, x @ torch.randn(20, 1)), batch_size=10)


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(20, 1, bias=False)
        self.zeros = []

    def training_step(self, batch, _):
        return (self.layer(batch[0]) - batch[1]).square().mean()

    def on_train_epoch_start(self):
        self.zeros.append(int((self.layer.weight == 0).sum()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


def run(epochs, checkpoint=None, permanent=True):
    net = Net()
    pruning = ModelPruning(
        "l1_unstructured",
        parameters_to_prune=[(net.layer, "weight")],
        amount=lambda epoch: 10 if epoch == 0 else 0,
        use_lottery_ticket_hypothesis=False,
        make_pruning_permanent=permanent,
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[pruning], **quiet)
    trainer.fit(net, data, ckpt_path=checkpoint, weights_only=False)
    trainer.save_checkpoint("last.ckpt")
    return int((net.layer.weight == 0).sum())


whole, half = run(3), run(2)
resumed = run(3, "last.ckpt")
run(2, permanent=False)
try:
    run(3, "last.ckpt", permanent=False)
    with_masks = "resumed"
except RuntimeError as error:
    with_masks = "raises: " + str(error).splitlines()[1].strip()
print(f"zeros of 20: after three epochs {whole}; stopped after two {half}, resumed for the third {resumed}")
print("resuming a checkpoint with masks:", with_masks)
assert (whole, half) == (10, 10), (whole, half)
assert resumed == 0, f"the behaviour has changed: {resumed}"
assert with_masks.startswith("raises: Missing key"), f"the behaviour has changed: {with_masks}"
PYTHON
# Seen on 2026-11-28:
#   zeros of 20: after three epochs 10; stopped after two 10, resumed for the third 0
#   resuming a checkpoint with masks: raises: Missing key(s) in state_dict: "layer.weight".
