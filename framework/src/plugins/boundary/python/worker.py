"""The worker that runs a criterion written in Python: it maps memory that the program shares with it, and answers one
message at a time. It ends with the program, also when that is killed. Only NumPy is needed, of any version, and Python
from 3.8 on. The program puts what stands in `says.py` and `shown.py` before this file.
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
            answer = json.dumps(getattr(script, "do_" + request["do"])(request), ensure_ascii=False, allow_nan=False)
            answer.encode("utf-8")
        except UnicodeEncodeError as error:
            wrong = "what the file says holds %r, which is no character" % error.object[error.start : error.end]
            answer = json.dumps({"error": "ScriptError: " + wrong})
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
    text = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Script:
    """The file, and the memory that it sees."""

    def __init__(self, path, source):
        import linecache
        import types

        # Before the file's folder is looked in, where others may lie that are named like a part of NumPy's own.
        import numpy  # noqa: F401

        self.name = os.path.basename(path)
        # What was hashed is what is run, also if the file is another by now.
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        sys.path[0:1] = [os.path.dirname(path)]
        name = os.path.splitext(self.name)[0]
        self.module = types.ModuleType("criterion_" + name if name in sys.modules else name)
        self.module.__file__ = path
        sys.modules[self.module.__name__] = self.module
        exec(compile(source, path, "exec"), self.module.__dict__)
        self.shown = self.scores = self.there = None

    def given(self, name, default):
        return getattr(self.module, name, default)

    def do_describe(self, _):
        import platform

        import numpy

        if not callable(self.given("score", None)):
            raise ScriptError("it defines no score(view)")
        functions = [name for name in FUNCTIONS if hasattr(self.module, name)]
        for name in functions:
            if not callable(self.given(name, None)):
                raise ScriptError("%s = %s: it must be a function" % (name, brief(self.given(name, None))))
        doc = self.module.__doc__
        return {
            "python": platform.python_implementation() + " " + platform.python_version(),
            "numpy": numpy.__version__,
            "doc": doc.strip().split("\n")[0] if isinstance(doc, str) else "",
            "needs": words("needs", self.given("needs", []), '"gradients" or ["gradients", "inputs"]'),
            "window": word("window", self.given("window", None), '"last-step", "epoch" or "since-prune"'),
            "reduce": word("reduce", self.given("reduce", None), '"l1", "l2", "sum", "mean" or "max"'),
            "options": defaults(self.given("options", {})),
            "defines": functions,
        }

    def do_begin(self, request):
        self.given("options", {}).update(request["options"])
        return {}

    def do_score(self, request):
        import numpy

        self.remember(request)
        answers = []
        # Made while the program writes what is in them.
        views = [View(self, told_of) for told_of in request["targets"]]
        for nth, (view, told_of) in enumerate(zip(views, request["targets"])):
            self.wait_for(nth + 1)
            scores = numpy.asarray(self.module.score(view))
            answers.append(self.answer(scores, view, told_of))
        return {"scores": answers}

    def answer(self, scores, view, told_of):
        """Writes scores where the program reads them, and says what they are of."""
        import numpy

        place, shape = told_of["out"], view.weight.shape
        if scores.shape == shape and scores.dtype == bool:
            self.room(place, shape, "u1")[...] = scores
            return "keep"
        if scores.dtype == bool or not (
            numpy.issubdtype(scores.dtype, numpy.floating) or numpy.issubdtype(scores.dtype, numpy.integer)
        ):
            raise ScriptError(
                "score gave %s for %s; scores are numbers, or bool in the weight's shape" % (scores.dtype, view.name)
            )
        if scores.shape == shape:
            self.room(place, shape, "f4")[...] = scores
            return "weights"
        if view.units is not None and scores.shape == (view.units,):
            self.room(place, (view.units,), "f4")[...] = scores
            return "units"
        allowed = "%s, a score for each weight" % (shape,)
        if view.units is not None:
            allowed += ", or (%d,), one for each unit" % view.units
        raise ScriptError("score gave shape %s for %s; it must be %s" % (scores.shape, view.name, allowed))

    def do_observe(self, request):
        self.remember(request)
        seen = Seen(self, request)
        self.wait_for(1)
        self.module.observe(seen)
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
        for name in state:
            if not isinstance(name, str):
                raise ScriptError("save gave the key %s; keys are texts" % brief(name))
        return {"state": {name: packed(name, value) for name, value in state.items()}}

    def do_load(self, request):
        self.module.load({name: unpacked(value) for name, value in request["state"].items()})
        return {}

    def remember(self, request):
        """Maps the memory of a message, where it is another than before: what is shown for reading alone, so that a script
        that keeps an array sees what lies there later, and can break nothing."""
        import mmap

        if "memory" in request:
            self.shown = mapped(request["memory"], mmap.PROT_READ)
            self.there = memoryview(self.shown)[:8].cast("Q")
        if "scores" in request:
            self.scores = mapped(request["scores"], mmap.PROT_READ | mmap.PROT_WRITE)

    def wait_for(self, targets):
        """Waits until the arrays of so many targets are there: the program writes them when it has sent its message."""
        looks = 0
        while self.there[0] < targets:
            looks += 1
            if looks > 5000:
                time.sleep(1e-5)

    def array(self, place):
        """A view of what is shown: offset, shape, type."""
        import numpy

        offset, shape, dtype = place
        return numpy.ndarray(shape, dtype, self.shown, offset)

    def room(self, offset, shape, dtype):
        """Where scores go."""
        import numpy

        return numpy.ndarray(shape, dtype, self.scores, offset)

    def named(self, places):
        return {name: self.array(place) for name, place in places.items()}


def mapped(path, access):
    """The program's memory behind a name, which goes: the program takes it back too, unless it is killed before the
    first answer."""
    import mmap

    # All pages at once, where the system can: a fault for each takes longer than scoring what is in it.
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0, flags=flags, prot=access)
    os.unlink(path)
    return memory


__file__ = main.__code__.co_filename
main(int(sys.argv[1]))
