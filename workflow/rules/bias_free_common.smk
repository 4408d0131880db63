# What the rules of the analyses of bias_free have in common: hashes of the code behind their results.


def analysis_code(*files):
    """A hash of the code that decides what the analyses give."""
    room = [f"documents/bias_free/{file}.py" for file in ("analysis", "arrays", "plan", "plan_analysis", *files)]
    return fingerprint(*room, "analysis/*.py", "networks/*.py", "data/images.py", "noise.py")


def gathering_code():
    """A hash of the code that puts the tables of single networks together."""
    room = [f"documents/bias_free/{file}.py" for file in ("analysis", "arrays", "subspaces")]
    return fingerprint(*room, "tables.py")


def sizes_of(settings):
    """A block of settings, as the parameters of a rule."""
    return settings.model_dump(mode="json")


def restoration_code():
    """A hash of the code that decides what the restoration of blurred images gives."""
    room = [f"documents/bias_free/{file}.py" for file in ("plan", "restoration", "tables_restoration")]
    evaluation = ("evaluation/apply.py", "evaluation/protocols.py", "metrics/quality.py")
    return fingerprint(*room, *evaluation, "networks/*.py", "data/blur.py", "data/images.py", "noise.py")


def residual_code():
    """A hash of the code that decides what the tests of residuals give."""
    room = [f"documents/bias_free/{file}.py" for file in ("analysis", "plan", "plan_residuals", "residuals")]
    tests = ("evaluation/apply.py", "metrics/residual.py", "metrics/residual_table.py", "tables.py")
    return fingerprint(*room, *tests, "networks/*.py", "data/images.py", "noise.py")
