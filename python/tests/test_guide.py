"""The guide's page on notebooks, run as a notebook."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "src" / "notebook.md"


def test_every_cell_of_the_guide_runs(tmp_path):
    cells = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(cells) >= 8
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()

    def outputs(start):
        (cell,) = [cell for cell in notebook.cells if start in cell.source]
        return cell.outputs

    first = outputs("import secateur\n")
    progress, report = (output.data for output in first)
    assert re.search(r"epoch 31/31 .* accuracy", progress["text/plain"]), "one output that was updated"
    assert progress["text/plain"].count("epoch") == progress["text/plain"].count("pruned after epoch") + 1
    assert report["text/html"].startswith("<iframe") and "Run(" in report["text/plain"]
    (table,) = outputs("runs = secateur.runs")
    assert "contribution-rank" in table.data["text/html"] and "random" in table.data["text/html"]
    assert outputs("sweep = ")[-1].data["text/html"].startswith("<iframe")
    assert "magnitude" in outputs("print(comparison)")[0].text
    assert not [
        output
        for cell in notebook.cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]
