"""Checkpoint loaders take any file: a network, or one message; a pickle never gets to run anything."""

import argparse
import functools
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from fuzzing import damaged, fuzz, survives, workroom
from hypothesis import strategies as st
from scipy.io import savemat

from denoiser_priors.data import lpips_backbone
from denoiser_priors.networks import released, zoo
from denoiser_priors.networks.base import Denoiser
from denoiser_priors.networks.ncsnv2 import NCSNv2
from denoiser_priors.networks.ncsnv2_weights import load_ncsnv2

pytestmark = pytest.mark.timeout(3600)

# --- safetensors


@functools.cache
def safetensors() -> tuple[dict, bytes]:
    """Header and tensors of the weights file of a small network."""
    with workroom() as folder:
        model = zoo.build("dncnn", bias=True, depth=3, width=2)
        zoo.save(model, folder / "w.safetensors", {"name": "w", "noise_range": [0, 10]})
        content = (folder / "w.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def with_header(header: object, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, -1, 1024, 1025, 2**31, 2**63, 2**64, 10**30, 0.5, "1", "", [], {}, [[]], "../x"]),
    st.text(max_size=5),
)


@st.composite
def other_headers(draw):
    """The file with other entries in its header or its description."""
    header, tensors = safetensors()
    header = json.loads(json.dumps(header))
    about = json.loads(header["__metadata__"]["denoiser_priors"])
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from(("architecture", "network", "size", "about", "tensor", "metadata", "new")))
        name = draw(st.sampled_from([key for key in header if key != "__metadata__"]))
        if where == "architecture":
            about["architecture"] = draw(st.one_of(st.sampled_from([*zoo.ARCHITECTURES, *zoo.TOLD, *zoo.OTHERS]), ODD))
        elif where == "network":
            about["network"] = draw(ODD)
        elif where == "size" and isinstance(about.get("network"), dict):
            key = draw(
                st.sampled_from(("depth", "width", "blocks", "recurrences", "variant", "features", "hidden_layers"))
            )
            about["network"][key] = draw(ODD)
        elif where == "about":
            about[draw(st.sampled_from(("bias", "channels", "name", "noise_range")))] = draw(ODD)
        elif not isinstance(header[name], dict):
            header[name] = None
        elif where == "tensor":
            key = draw(st.sampled_from(("dtype", "shape", "data_offsets")))
            header[name][key] = draw(
                st.one_of(ODD, st.sampled_from(["F16", "BF16", "I64", "BOOL", "F64"]), st.lists(ODD, max_size=4))
            )
        elif where == "metadata":
            header["__metadata__"] = draw(st.one_of(st.just({}), st.just({"denoiser_priors": "{"}), ODD))
        else:
            header[draw(st.text(max_size=5))] = draw(st.one_of(st.just(dict(header[name])), ODD))
    if isinstance(header.get("__metadata__"), dict) and "denoiser_priors" in header["__metadata__"]:
        header["__metadata__"]["denoiser_priors"] = json.dumps(about)
    return with_header(header, tensors)


SAFETENSORS = st.one_of(
    damaged(st.builds(lambda: with_header(*safetensors()))),
    other_headers(),
    damaged(other_headers()),
    st.binary(max_size=60),
)


@fuzz(content=SAFETENSORS)
def test_safetensors(content):
    with workroom() as folder:
        path = folder / "weights.safetensors"
        path.write_bytes(content)
        model = survives("safetensors files", folder, lambda: zoo.load(path))
        assert model is None or isinstance(model, Denoiser)
        survives("safetensors files as backbone", folder, lambda: lpips_backbone.from_safetensors(path))


# --- pickles

GLOBALS = (
    "os system",
    "posix system",
    "builtins exec",
    "builtins eval",
    "builtins __import__",
    "builtins getattr",
    "builtins open",
    "subprocess Popen",
    "subprocess check_output",
    "importlib import_module",
    "runpy run_path",
    "shutil rmtree",
    "os remove",
    "pathlib Path.write_text",
    "functools partial",
    "operator attrgetter",
    "operator methodcaller",
    "torch load",
    "torch.hub load",
    "torch.serialization load",
    "numpy load",
    "numpy fromfile",
    "code interact",
    "argparse Namespace",
    "argparse FileType",
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch FloatStorage",
    "torch Size",
    "torch device",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
    "numpy._core.multiarray scalar",
    "numpy ndarray",
    "numpy dtype",
    "copyreg _reconstructor",
    "types CodeType",
    "types FunctionType",
)
ARGUMENTS = st.sampled_from(
    (
        b"(S'touch harm'\ntR",
        b"(S'import os; os.system(\"touch harm\")'\ntR",
        b"(S'harm'\nS'w'\ntR",
        b"((S'touch'\nS'harm'\nltR",
        b")R",
        b")\x81",
        b"(I1000000000\ntR",
        b"((I1000000000000\nttR",
        b"(S'f8'\nI0\nI1\ntR",
        b"(S'O'\ntR",
        b"}S'__class__'\nS'x'\nsb",
        b"}S'__dict__'\n}sb",
        b"(ccollections\nOrderedDict\n)RtR",
        b"",
    )
)


class Pickled:
    """Pickles as a call of anything."""

    def __init__(self, function, arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def calls() -> list[object]:
    import os
    import shutil
    import subprocess

    return [
        Pickled(os.system, ("touch harm",)),
        Pickled(exec, ("open('harm', 'w').close()",)),
        Pickled(eval, ("__import__('os').system('touch harm')",)),
        Pickled(subprocess.Popen, (["touch", "harm"],)),
        Pickled(open, ("harm", "w")),
        Pickled(shutil.rmtree, ("harm",)),
        Pickled(getattr, ("x", "join")),
        Pickled(argparse.FileType, ("w",)),
        Pickled(torch.load, ("harm",)),
        Pickled(torch.hub.load, ("x/y", "z")),
        argparse.Namespace(a=1),
        argparse.Namespace(harm=Pickled(os.system, ("touch harm",))),
    ]


@st.composite
def opcodes(draw):
    """Pickles written by hand: names, arguments, calls, settings of attributes, in any order."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        module, name = draw(st.sampled_from(GLOBALS)).split()
        how = draw(st.integers(0, 2))
        if how == 0:
            parts.append(f"c{module}\n{name}\n".encode() + draw(ARGUMENTS))
        elif how == 1:
            strings = [b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)]
            parts.append(b"".join(strings) + b"\x93" + draw(ARGUMENTS))
        else:
            parts.append(f"(S'touch harm'\ni{module}\n{name}\n".encode())
        if draw(st.booleans()):
            parts.append(
                draw(
                    st.sampled_from(
                        (b"0", b"1", b"a", b"s", b"u", b"b", b"t", b"Q", b"p0\n", b"q\0", b"P1\n", b"\x82\x01")
                    )
                )
            )
    return draw(st.sampled_from((b"", b"\x80\x02", b"\x80\x04"))) + b"".join(parts) + b"."


@functools.cache
def state() -> dict[str, torch.Tensor]:
    """What a released DnCNN holds, but small."""
    names = [
        "first_layer.weight",
        "first_layer.bias",
        "hidden_layer_list.0.weight",
        "bn_layer_list.0.running_mean",
        "last_layer.weight",
    ]
    return {name: torch.zeros(2, 1, 3, 3) for name in names}


@st.composite
def contents(draw):
    """Anything that a checkpoint may hold."""
    call = draw(st.sampled_from(calls()))
    value = draw(
        st.sampled_from(
            [state(), {"model": [state()]}, {"model": []}, [state()] * 5, [], {}, 3, "x", None, {1: torch.zeros(1)}]
        )
    )
    wrap = draw(st.integers(0, 4))
    return [value, call, {**state(), "evil": call}, {"model": [state()], "args": call}, [state(), call]][wrap]


@st.composite
def torch_files(draw):
    """Files of torch.save in both of its formats, and zip files whose pickle is another one."""
    stream = io.BytesIO()
    torch.save(draw(contents()), stream, _use_new_zipfile_serialization=draw(st.booleans()))
    content = stream.getvalue()
    if draw(st.booleans()) or not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            inside = old.read(info)
            if info.filename.endswith("data.pkl"):
                inside = draw(st.one_of(opcodes(), damaged(st.just(inside)), st.just(pickle.dumps(draw(contents())))))
            new.writestr(info.filename, inside)
    return changed.getvalue()


PICKLES = st.one_of(
    torch_files(),
    damaged(torch_files()),
    opcodes(),
    damaged(opcodes()),
    contents().map(pickle.dumps),
    st.binary(max_size=60),
)


@fuzz(content=PICKLES)
def test_pickles(content):
    with workroom() as folder:
        path = folder / "weights.pt"
        path.write_bytes(content)
        model = survives("pickled checkpoints", folder, lambda: released.convert(path))
        assert model is None or isinstance(model, Denoiser)
        model = survives("pickled checkpoints as NCSNv2", folder, lambda: load_ncsnv2(path))
        assert model is None or isinstance(model, NCSNv2)
        survives("pickled checkpoints as backbone", folder, lambda: lpips_backbone.from_torch_file(path))
        survives("pickles of arrays", folder, lambda: lpips_backbone.from_flax_pickle(path))
        assert sorted(p.name for p in folder.iterdir()) == ["weights.pt"]


# --- MatConvNet


def layer(kind: str, *weights: np.ndarray) -> np.ndarray:
    """A layer as MATLAB keeps it: a structure in a cell."""
    made = np.zeros((1, 1), dtype=[("type", object), ("weights", object)])
    made["type"][0, 0] = np.array([kind])
    cell = np.empty((1, len(weights)), dtype=object)
    for i, weight in enumerate(weights):
        cell[0, i] = weight
    made["weights"][0, 0] = cell
    return made


def network(shapes: list[tuple[int, ...]], kinds: tuple[str, ...] = ("conv", "relu")) -> np.ndarray:
    layers = []
    for i, shape in enumerate(shapes):
        layers += [layer(kinds[0], np.zeros(shape, np.float32), np.zeros((shape[-1], 1), np.float32))]
        if i + 1 < len(shapes):
            layers.append(layer(kinds[1]))
    net = np.empty((1, len(layers)), dtype=object)
    for i, each in enumerate(layers):
        net[0, i] = each
    return net


@functools.cache
def matlab_files() -> tuple[bytes, ...]:
    good = network([(3, 3, 3, 2), (3, 3, 2, 2), (3, 3, 2, 3)])
    variables = [
        {"net": good},
        {"net": network([(3, 3, 1, 2), (3, 3, 2, 1)])},
        {"net": network([(3, 3, 5, 2), (3, 3, 2, 5)])},
        {"net": network([(5, 5, 3, 2), (3, 3, 2, 3)])},
        {"net": network([(3, 3, 3, 2)])},
        {"net": network([(3, 3, 3, 2), (3, 3, 2, 3)], ("conv", "bnorm"))},
        {"net": network([(3, 3, 3, 2), (3, 3, 2, 3)], ("relu", "conv"))},
        {"net": np.zeros((2, 2))},
        {"net": "text"},
        {"net": np.zeros((1, 0), dtype=object)},
        {"other": np.zeros((2, 2))},
        {"net": {"layers": good}},
        {"net": np.array([[np.zeros((1, 1)), "x"]], dtype=object)},
    ]
    made = []
    for content in variables:
        for form, squeezed in (("5", False), ("5", True)):
            stream = io.BytesIO()
            savemat(stream, content, format=form, do_compression=squeezed)
            made.append(stream.getvalue())
    stream = io.BytesIO()
    savemat(stream, {"net": np.zeros((2, 2))}, format="4")
    return (*made, stream.getvalue())


@st.composite
def elements(draw):
    """A whole header, and then data elements of any type and size."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from((1, 5, 6, 7, 9, 14, 15, 16, 18, 77)))
        size = draw(st.sampled_from((0, 1, 8, 16, 2**16, 2**31 - 1, 2**32 - 1)))
        parts.append(struct.pack("<II", kind, size) + draw(st.binary(max_size=24)))
    return header + b"".join(parts)


MATLAB = st.one_of(
    damaged(st.builds(lambda i: matlab_files()[i % len(matlab_files())], st.integers(0, 99))),
    elements(),
    damaged(elements()),
    st.binary(max_size=60),
)


@fuzz(content=MATLAB)
def test_matconvnet(content):
    with workroom() as folder:
        path = folder / "net.mat"
        path.write_bytes(content)
        model = survives("MatConvNet files", folder, lambda: released.convert(path))
        assert model is None or isinstance(model, Denoiser)
