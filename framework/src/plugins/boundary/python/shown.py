"""What the functions of a file are shown. A part of the worker."""


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
