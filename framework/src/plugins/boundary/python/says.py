"""What a file says of itself and gives back, looked at before the program reads it. A part of the worker."""


class ScriptError(Exception):
    """What is wrong with what the script says."""


#: What a file may define beside `score`.
FUNCTIONS = ("observe", "cut", "reset", "save", "load")


def brief(value):
    """A value as it is written, if it is not long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def word(name, value, such):
    if value is not None and not isinstance(value, str):
        raise ScriptError("%s = %s: it must be a text: %s" % (name, brief(value), such))
    return value


def words(name, value, such):
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in found):
        raise ScriptError("%s = %s: it must be a word or a list of words, such as %s" % (name, brief(value), such))
    return list(found)


def defaults(options):
    """The options of a file, each by its default."""
    import numpy

    if not isinstance(options, dict):
        raise ScriptError('options = %s: it must be a dict of defaults, such as {"share": 0.5}' % brief(options))
    found = {}
    for name, value in options.items():
        if not isinstance(name, str):
            raise ScriptError("options: the key %s must be a text" % brief(name))
        value = value.item() if isinstance(value, numpy.generic) else value
        wrong = None
        if not isinstance(value, (bool, int, float, str)):
            wrong = "a number, a text, or true or false"
        elif isinstance(value, float) and not numpy.isfinite(value):
            wrong = "finite"
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            wrong = "a whole number of 64 bits"
        if wrong is not None:
            raise ScriptError('options: the default of "%s" is %s, and must be %s' % (name, brief(value), wrong))
        found[name] = value
    return found


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
