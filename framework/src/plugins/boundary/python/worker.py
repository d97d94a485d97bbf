"""The worker that runs a criterion written in Python: it maps memory that the program shares with it, and answers one
message at a time. It ends with the program, also when that is killed. Only NumPy is needed, of any version, and Python
from 3.8 on.
"""

import os
import signal
import sys
import threading
import time


def main(parent):
    # Whoever stops the program sends its signal to the whole group; the step at hand is finished all the same.
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=outlive_nobody, args=(parent,), daemon=True).start()
    # What the script prints goes where errors go; the program reads the answers alone.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)
    import json

    script = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if script is None:
                script = Script(request["path"], request["source"])
            answer = json.dumps(getattr(script, "do_" + request["do"])(request))
        except BaseException as error:
            answer = json.dumps({"error": told(error)})
        answers.write(answer + "\n")
        answers.flush()


def outlive_nobody(parent):
    """Ends this process when the program is gone, whatever the script is busy with."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def told(error):
    """The traceback, without this file's part of it."""
    import traceback

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


class Script:
    """The file, and the memory that it sees."""

    def __init__(self, path, source):
        import linecache
        import types

        self.name = os.path.basename(path)
        # What was hashed is what is run, also if the file is another by now.
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        sys.path[0:1] = [os.path.dirname(path)]
        self.module = types.ModuleType(os.path.splitext(self.name)[0])
        self.module.__file__ = path
        sys.modules[self.module.__name__] = self.module
        exec(compile(source, path, "exec"), self.module.__dict__)
        self.memory = None

    def given(self, name, default):
        return getattr(self.module, name, default)

    def do_describe(self, _):
        import platform

        import numpy

        if not callable(self.given("score", None)):
            raise ScriptError("it defines no score(view)")
        needs = self.given("needs", [])
        return {
            "python": platform.python_implementation() + " " + platform.python_version(),
            "numpy": numpy.__version__,
            "doc": (self.module.__doc__ or "").strip().split("\n")[0],
            "needs": [needs] if isinstance(needs, str) else list(needs),
            "window": self.given("window", None),
            "reduce": self.given("reduce", None),
            "options": self.given("options", {}),
            "defines": [
                name for name in ("observe", "cut", "reset", "save", "load") if callable(self.given(name, None))
            ],
        }

    def do_begin(self, request):
        self.given("options", {}).update(request["options"])
        return {}

    def do_score(self, request):
        import numpy

        self.remember(request)
        answers = []
        for told_of in request["targets"]:
            view = View(self, told_of)
            scores = numpy.asarray(self.module.score(view))
            answers.append(self.answer(scores, view, told_of))
        return {"scores": answers}

    def answer(self, scores, view, told_of):
        """Writes scores where the program reads them, and says what they are of."""
        import numpy

        place, shape = told_of["out"], view.weight.shape
        if scores.shape == shape and scores.dtype == bool:
            self.array([place, list(shape), "u1"], write=True)[...] = scores
            return "keep"
        if scores.dtype == bool or not (
            numpy.issubdtype(scores.dtype, numpy.floating) or numpy.issubdtype(scores.dtype, numpy.integer)
        ):
            raise ScriptError(
                "score gave %s for %s; scores are numbers, or bool in the weight's shape" % (scores.dtype, view.name)
            )
        if scores.shape == shape:
            self.array([place, list(shape), "f4"], write=True)[...] = scores
            return "weights"
        if view.units is not None and scores.shape == (view.units,):
            self.array([place, [view.units], "f4"], write=True)[...] = scores
            return "units"
        allowed = "%s, a score for each weight" % (shape,)
        if view.units is not None:
            allowed += ", or (%d,), one for each unit" % view.units
        raise ScriptError("score gave shape %s for %s; it must be %s" % (scores.shape, view.name, allowed))

    def do_observe(self, request):
        self.remember(request)
        self.module.observe(Seen(self, request))
        return {}

    def do_cut(self, request):
        self.module.cut(Cut(request))
        return {}

    def do_reset(self, _):
        self.module.reset()
        return {}

    def do_save(self, _):
        state = self.module.save()
        if not isinstance(state, dict):
            raise ScriptError("save gave %s; it gives a dict of arrays and numbers" % type(state).__name__)
        return {"state": {name: packed(name, value) for name, value in state.items()}}

    def do_load(self, request):
        self.module.load({name: unpacked(value) for name, value in request["state"].items()})
        return {}

    def remember(self, request):
        """Maps the memory of a message, where it is another than before."""
        if "memory" in request:
            import mmap

            with open(request["memory"], "r+b") as file:
                # All pages at once, where the system can: a fault for each takes longer than scoring what is in it.
                flags = getattr(mmap, "MAP_SHARED", 0) | getattr(mmap, "MAP_POPULATE", 0)
                self.memory = mmap.mmap(file.fileno(), 0, flags=flags) if flags else mmap.mmap(file.fileno(), 0)
            # The program does so too, unless it is killed before the first answer.
            os.unlink(request["memory"])

    def array(self, place, write=False):
        """A view of the shared memory: offset, shape, type."""
        import numpy

        offset, shape, dtype = place
        array = numpy.ndarray(shape, dtype, self.memory, offset)
        array.flags.writeable = write
        return array

    def named(self, places):
        return {name: self.array(place) for name, place in places.items()}


class ScriptError(Exception):
    """What is wrong with what the script says."""


class Shown:
    """What a script is shown: arrays that are read-only and the program's own, valid until the function returns."""

    def __init__(self, told_of, missing):
        self.__dict__.update(told_of)
        self.__dict__["_missing"] = missing

    def __getattr__(self, name):
        missing = self.__dict__["_missing"].get(name)
        raise AttributeError(
            missing
            or "there is no view.%s; there are %s" % (name, ", ".join(sorted(n for n in self.__dict__ if n[0] != "_")))
        )


#: What must be declared for an attribute to be there.
NEEDED = {
    "grad": "gradients",
    "grads": "gradients",
    "input": "inputs",
    "inputs": "inputs",
    "output": "outputs",
    "outputs": "outputs",
    "output_grad": "output-gradients",
    "output_grads": "output-gradients",
    "preactivation": "preactivations",
    "preactivations": "preactivations",
    "product": "products",
    "products": "products",
}


def reasons(name):
    text = (
        'there is no view.%s of %s: say needs = "%s", and mind that what was recorded before units were cut out is gone'
    )
    return {attribute: text % (attribute, name, need) for attribute, need in NEEDED.items()}


class View(Shown):
    """One weight to be scored."""

    def __init__(self, script, told_of):
        shown = {key: told_of[key] for key in ("name", "group", "units", "axis", "step", "seed", "to_go")}
        shown.update(script.named(told_of["arrays"]))
        mask = shown.get("mask")
        shown["mask"] = None if mask is None else mask.view(bool)
        Shown.__init__(self, shown, reasons(told_of["name"]))


class Seen(Shown):
    """One training step, before the update."""

    def __init__(self, script, request):
        shown = {key: request[key] for key in ("step", "epoch", "examples")}
        shown.update((kind, script.named(places)) for kind, places in request["arrays"].items())
        Shown.__init__(self, shown, reasons("this step"))


class Cut:
    """Units that were cut out of a group: ``kept`` are the indices of those that stay. ``indices`` has, for each
    parameter with the group's units along an axis, that axis and the indices along it that stay."""

    def __init__(self, request):
        import numpy

        self.group = request["group"]
        self.kept = numpy.array(request["kept"], int)
        self.indices = {name: (axis, numpy.array(stay, int)) for name, axis, stay in request["members"]}


#: What a state may hold. The program keeps 64-bit floats, which hold all of these exactly.
TYPES = ["<f8", "<f4", "<i8", "<i4", "|u1", "|b1"]


def packed(name, value):
    """A value as numbers: its type, its shape, and what is in it; as the bits of 64-bit floats."""
    import numpy

    array = numpy.asarray(value)
    kind = array.dtype.newbyteorder("<").str
    if kind not in TYPES:
        raise ScriptError(
            "save gave %s for %r; it may hold numbers and arrays of float, int and bool" % (array.dtype, name)
        )
    numbers = array.astype("<f8").ravel()
    if array.dtype.kind == "i" and not numpy.array_equal(numbers.astype(array.dtype), array.ravel()):
        raise ScriptError("save gave a whole number for %r that is beyond 2**53" % name)
    head = [TYPES.index(kind), array.ndim] + list(array.shape)
    return numpy.concatenate([numpy.array(head, "<f8"), numbers]).view("<u8").tolist()


def unpacked(bits):
    import numpy

    numbers = numpy.array(bits, "<u8").view("<f8")
    kind, rank = int(numbers[0]), int(numbers[1])
    shape = tuple(int(n) for n in numbers[2 : 2 + rank])
    return numbers[2 + rank :].astype(TYPES[kind]).reshape(shape)


__file__ = main.__code__.co_filename
main(int(sys.argv[1]))
