"""Runs that several tests look at: small ones, of the program that is installed or on PATH."""

import pytest

import secateur

#: A second of the quickstart.
SMALL = {
    "data.glyphs": {"train": 300, "test": 60},
    "train.epochs": 6,
    "train.batch_size": 60,
    "schedule.first": 2,
}


@pytest.fixture(scope="session")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def small(out):
    """Values for a run in the common folder."""
    return {**SMALL, "output.dir": out}


@pytest.fixture(scope="session")
def run(small):
    """A finished run that was cut."""
    return secateur.run("experiment/quickstart", sets=small, progress=False)


@pytest.fixture(scope="session")
def masked(small):
    """A finished run that was masked, weight by weight."""
    sets = {**small, "prune": {"granularity": "weight", "apply": "mask"}}
    return secateur.run("experiment/quickstart", "criterion/magnitude", sets=sets, progress=False)
