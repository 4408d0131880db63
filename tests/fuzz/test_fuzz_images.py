"""The image loader takes any file: pixels, or one message that names the file."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import scipy.io  # noqa: F401 (what is imported on first use also touches the environment)
from fuzzing import damaged, fuzz, survives, workroom
from hypothesis import strategies as st

from denoiser_priors.data import digits, faces
from denoiser_priors.data.images import read_folder, read_image

pytestmark = pytest.mark.timeout(3600)

MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "RGB", "RGBA", "CMYK", "F", "I;16"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("L", "RGB", "I"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
}


def encoded(form: str, mode: str, size: tuple[int, int], **options) -> bytes:
    """An image file with a gradient."""
    width, height = size
    gray = np.arange(width * height, dtype=np.uint32).reshape(height, width) * 7
    if mode == "F":
        image = PIL.Image.fromarray(gray.astype(np.float32))
    elif mode == "I;16":
        image = PIL.Image.fromarray(gray.astype(np.uint16))
    elif mode == "I":
        image = PIL.Image.fromarray(gray.astype(np.int32))
    else:
        image = PIL.Image.fromarray(np.stack([gray, gray * 3, gray * 5], -1).astype(np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def originals() -> list[bytes]:
    """Files of every format and mode, with compressions and several frames."""
    made = [encoded(form, mode, size) for form, modes in MODES.items() for mode in modes for size in ((8, 8), (5, 3))]
    made += [encoded("TIFF", "RGB", (8, 8), compression=c) for c in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    made.append(encoded("JPEG", "RGB", (16, 16), progressive=True))
    frames = [PIL.Image.new("L", (4, 4), value) for value in (0, 255)]
    for form in ("GIF", "TIFF", "PNG", "WEBP"):
        stream = io.BytesIO()
        frames[0].convert("RGB" if form == "WEBP" else "L").save(stream, form, save_all=True, append_images=frames[1:])
        made.append(stream.getvalue())
    return made


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@st.composite
def announced(draw):
    """Files whose headers are whole, and announce any size and any kind of pixels."""
    side = st.sampled_from((0, 1, 2, 3, 255, 4096, 10_001, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1))
    width, height = draw(side), draw(side)
    content = draw(st.binary(max_size=40))
    kind = draw(st.sampled_from(("png", "ppm", "bmp", "tiff", "gif")))
    if kind == "png":
        depth, colours = draw(st.sampled_from((1, 2, 8, 16, 77))), draw(st.integers(0, 7))
        header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, draw(st.integers(0, 2)))
        chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")]
        for extra in draw(
            st.lists(st.sampled_from((b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fcTL")), max_size=3)
        ):
            chunks.insert(1, chunk(extra, draw(st.binary(max_size=40))))
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    if kind == "ppm":
        magic = draw(st.sampled_from(("P1", "P2", "P3", "P4", "P5", "P6", "Pf", "PF", "P7")))
        return f"{magic}\n{width} {height}\n{draw(st.sampled_from((0, 1, 255, 65535, 70000, -1)))}\n".encode() + content
    if kind == "bmp":
        bits = draw(st.sampled_from((0, 1, 4, 8, 16, 24, 32, 99)))
        header = struct.pack(
            "<IiiHHIIiiII", 40, width % 2**31, height % 2**31, 1, bits, draw(st.integers(0, 4)), 0, 0, 0, 0, 0
        )
        return b"BM" + struct.pack("<IHHI", 54 + len(content), 0, 0, 54) + header + content
    if kind == "gif":
        return (
            b"GIF89a" + struct.pack("<HHBBB", width % 65536, height % 65536, draw(st.integers(0, 255)), 0, 0) + content
        )
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, draw(st.sampled_from((1, 8, 16, 32, 64))))]
    tags += [(259, 3, 1, draw(st.sampled_from((1, 2, 5, 7, 8, 32773, 50000)))), (262, 3, 1, draw(st.integers(0, 8)))]
    tags += [(273, 4, 1, 8), (277, 3, 1, draw(st.integers(0, 5))), (278, 4, 1, height), (279, 4, 1, len(content))]
    directory = (
        struct.pack("<H", len(tags))
        + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        + struct.pack("<I", draw(st.sampled_from((0, 8))))
    )
    return b"II*\0" + struct.pack("<I", 8) + directory + content


CONTENT = st.one_of(
    damaged(st.sampled_from(originals())),
    announced(),
    damaged(announced()),
    st.binary(max_size=60),
)


@fuzz(content=CONTENT, folder_of_images=st.booleans())
def test_images(content, folder_of_images):
    with workroom() as folder:
        path = folder / "image.png"
        path.write_bytes(content)
        if folder_of_images:
            images = survives("images", folder, lambda: read_folder(folder, 1))
            pixels = images[0].pixels if images else None
        else:
            pixels = survives("images", folder, lambda: read_image(path))
        if pixels is not None:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] in (1, 3)
            assert pixels.size


def idx(shape: tuple[int, ...], count: int) -> bytes:
    return b"\0\0\x08" + bytes([len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(count)


def numpy_file(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def compressed(content: bytes) -> bytes:
    import gzip

    return gzip.compress(content, mtime=0)


ROW = ",".join(["7"] * 785).encode() + b"\n"
NUMBERS = st.one_of(
    damaged(
        st.sampled_from([idx((2, 3, 3), 18), idx((4,), 4), compressed(idx((2, 3, 3), 18)), idx((2**32 - 1,) * 4, 9)])
    ),
    damaged(st.sampled_from([ROW * 2, ROW + b"1,2\n", b""])).map(compressed),
    damaged(st.sampled_from([numpy_file(np.zeros((2, 3))), numpy_file(np.array([{}], dtype=object))])),
)


@fuzz(content=NUMBERS)
def test_digits_and_faces(content):
    with workroom() as folder:
        path = folder / "file"
        path.write_bytes(content)
        for reader in (digits.read_idx, digits.read_digits_csv, faces.read_lfw25, faces.read_olivetti):
            survives("files of digits and faces", folder, lambda reader=reader: reader(path))
