"""Ways to spoil a file, as hypothesis strategies: each draws a function of what the file holds.

Bytes of any file are flipped, cut, doubled; of the formats with a structure (HDF5, ``.npz``, JSON, text
tables) single parts are changed, so that what is wrong lies deeper than the first byte.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import yaml
from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

PLACE = st.floats(0, 1, exclude_max=True)  # where in a file or a list
NUMBERS = (
    -1,
    0,
    1,
    3,
    2**31 - 1,
    2**31,
    2**62,
    -(2**31),
    0.5,
    1e300,
    float("nan"),
    float("inf"),
    float("-inf"),
)
WORDS = (
    "", "nan", "NA", "None", "-1", "0.5", "1e308", "1e+05", "inf", "1,000", "99999999999999999999", "a/b",
    "../../x", "=1+1", "\x00", "\x1b[2J", "\n\n.. raw:: html", "<script>", "größe", "細胞", "x" * 5000, "'",
    '"', "#", "%", "\ufeff",
)  # fmt: skip


def byte_changes() -> st.SearchStrategy[Change]:
    """Changes of bytes, whatever they mean."""
    few = st.integers(1, 64)
    return st.one_of(
        st.builds(lambda at, mask: partial(_flip, at=at, mask=mask), PLACE, st.integers(1, 255)),
        st.builds(lambda at: partial(_cut, at=at), PLACE),
        st.builds(
            lambda at, n, fill: partial(_fill, at=at, n=n, fill=fill), PLACE, few, st.sampled_from([0, 255])
        ),
        st.builds(lambda at, n: partial(_leave_out, at=at, n=n), PLACE, few),
        st.builds(lambda at, n: partial(_double, at=at, n=n), PLACE, few),
        st.builds(lambda at, new: partial(_put, at=at, new=new), PLACE, st.binary(min_size=1, max_size=16)),
    )


def _flip(content: bytes, at: float, mask: int) -> bytes:
    changed = bytearray(content)
    if changed:
        changed[int(at * len(changed))] ^= mask
    return bytes(changed)


def _cut(content: bytes, at: float) -> bytes:
    return content[: int(at * len(content))]


def _fill(content: bytes, at: float, n: int, fill: int) -> bytes:
    start = int(at * len(content))
    return content[:start] + bytes([fill]) * len(content[start : start + n]) + content[start + n :]


def _leave_out(content: bytes, at: float, n: int) -> bytes:
    start = int(at * len(content))
    return content[:start] + content[start + n :]


def _double(content: bytes, at: float, n: int) -> bytes:
    start = int(at * len(content))
    return content[: start + n] + content[start:]


def _put(content: bytes, at: float, new: bytes) -> bytes:
    start = int(at * len(content))
    return content[:start] + new + content[start:]


def several(of: st.SearchStrategy[Change]) -> st.SearchStrategy[Change]:
    """Changes that know the format, which so find a sound file, then perhaps one of bytes; at least one."""
    inner, outer = st.lists(of, max_size=2), st.lists(byte_changes(), max_size=1)
    return st.tuples(inner, outer).filter(any).map(lambda both: partial(_all, changes=[*both[0], *both[1]]))


def _all(content: bytes, changes: list[Change]) -> bytes:
    for change in changes:
        content = change(content)
    return content


def packed(change: Change) -> Change:
    """The change of what is gzipped."""
    return lambda content: gzip.compress(change(gzip.decompress(content)), mtime=0)


# --- text


def text_changes(sep: str) -> st.SearchStrategy[Change]:
    """Changes of lines and fields of a table."""
    word, line = st.sampled_from(WORDS), st.sampled_from(["", "#", "# note", "a", sep * 9, "x" * 10_000])
    return st.one_of(
        st.builds(lambda at, of, new: partial(_field, sep=sep, at=at, of=of, new=new), PLACE, PLACE, word),
        st.builds(lambda at: partial(_line, at=at, new=None), PLACE),
        st.builds(lambda at, new: partial(_line, at=at, new=new), PLACE, line),
        st.sampled_from([",", ";", "\t", " ", "|"]).map(lambda new: partial(_replace, old=sep, new=new)),
        st.sampled_from(["\r\n", "\r", "\n\n"]).map(lambda new: partial(_replace, old="\n", new=new)),
        st.just(lambda content: b"\xef\xbb\xbf" + content),
        st.sampled_from(["utf-16", "latin-1", "utf-32"]).map(lambda coding: partial(_recode, coding=coding)),
        st.just(partial(_replace, old=".", new=",")),
    )


def _field(content: bytes, sep: str, at: float, of: float, new: str) -> bytes:
    lines = content.decode(errors="surrogateescape").split("\n")
    row = int(at * len(lines))
    fields = lines[row].split(sep)
    fields[int(of * len(fields))] = new
    lines[row] = sep.join(fields)
    return "\n".join(lines).encode(errors="surrogateescape")


def _line(content: bytes, at: float, new: str | None) -> bytes:
    """A line left out, or another put before it."""
    lines = content.split(b"\n")
    row = int(at * len(lines))
    lines[row : row + (new is None)] = [] if new is None else [new.encode()]
    return b"\n".join(lines)


def _replace(content: bytes, old: str, new: str) -> bytes:
    return content.replace(old.encode(), new.encode())


def _recode(content: bytes, coding: str) -> bytes:
    return content.decode(errors="replace").encode(coding, errors="replace")


# --- HDF5


def hdf5_changes() -> st.SearchStrategy[Change]:
    """Changes of one dataset, group or attribute."""
    values = st.one_of(
        st.sampled_from(NUMBERS), st.sampled_from(WORDS).filter(lambda word: "\x00" not in word)
    )
    shape = st.lists(st.sampled_from([0, 1, 2, 23, 24, 25, 10**6, 10**13]), min_size=0, max_size=3).map(tuple)
    kinds = st.sampled_from(["f4", "f8", "i1", "i8", "u8", "S3", "?", "c16"])
    deeds = st.one_of(
        st.just((_h5_delete, ())),
        st.tuples(st.just(_h5_value), st.tuples(PLACE, values)),
        st.tuples(st.just(_h5_shape), st.tuples(shape, kinds)),
        st.tuples(st.just(_h5_attribute), st.tuples(PLACE, st.one_of(st.none(), values))),
        st.tuples(st.just(_h5_move), st.tuples(PLACE)),
        st.tuples(st.just(_h5_link), st.tuples(st.sampled_from(["soft", "external", "hard"]))),
        st.just((_h5_group, ())),
    )
    return st.builds(lambda at, deed: partial(_hdf5, at=at, deed=deed), PLACE, deeds)


def _hdf5(content: bytes, at: float, deed) -> bytes:
    """``content`` with one object changed; as it was, where it is no HDF5 file any more or that cannot be."""
    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as f:
            places: list[str] = []
            f.visit(places.append)
            if places:
                change, arguments = deed
                change(f, places[int(at * len(places))], *arguments)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError):
        return content
    return stream.getvalue()


def _h5_delete(f, place: str) -> None:
    del f[place]


def _h5_value(f, place: str, at: float, value) -> None:
    """One value of a dataset, of the nearest that its type can hold."""
    data = f[place]
    if not isinstance(data, h5py.Dataset):
        return
    values = data[()]
    if not np.ndim(values):
        data[()] = value
        return
    flat = np.asarray(values).ravel()
    if flat.dtype.kind in "iu" and isinstance(value, int | float):
        info = np.iinfo(flat.dtype)
        value = int(np.clip(np.nan_to_num(value, posinf=info.max, neginf=info.min), info.min, info.max))
    flat[int(at * len(flat))] = value
    data[...] = flat.reshape(np.shape(values))


def _h5_shape(f, place: str, shape: tuple, kind: str) -> None:
    """A dataset of another shape and type, without anything stored."""
    attributes = dict(f[place].attrs)
    del f[place]
    chunks = tuple(min(n, 64) for n in shape) if shape and all(shape) else None
    f.create_dataset(place, shape=shape, dtype=kind, chunks=chunks).attrs.update(attributes)


def _h5_attribute(f, place: str, at: float, value) -> None:
    names = sorted(f[place].attrs)
    if names:
        name = names[int(at * len(names))]
        del f[place].attrs[name]
        if value is not None:
            f[place].attrs[name] = value


def _h5_move(f, place: str, to: float) -> None:
    f.move(place, f"{place}_{to:.3f}")


def _h5_link(f, place: str, kind: str) -> None:
    del f[place]
    links = {"soft": h5py.SoftLink("/"), "external": h5py.ExternalLink("/etc/passwd", "/"), "hard": f["/"]}
    f[place] = links[kind]


def _h5_group(f, place: str) -> None:
    del f[place]
    f.create_group(place)


# --- arrays


def npz_changes() -> st.SearchStrategy[Change]:
    """Changes of one array of a ``.npz``."""
    kinds = st.sampled_from(["f4", "f8", "i4", "i8", "u1", "U3", "?", "c16", "O"])
    deeds = st.one_of(
        st.just(None),
        st.tuples(st.just("value"), PLACE, st.sampled_from(NUMBERS)),
        st.tuples(st.just("type"), kinds),
        st.tuples(st.just("length"), st.integers(-30, 30)),
        st.tuples(st.just("order"), st.integers(0, 9)),
    )
    return st.builds(lambda at, deed: partial(_npz, at=at, deed=deed), PLACE, deeds)


def _npz(content: bytes, at: float, deed) -> bytes:
    with np.load(io.BytesIO(content), allow_pickle=True) as f:
        arrays = {name: f[name] for name in f.files}
    if not arrays:
        return content
    name = list(arrays)[int(at * len(arrays))]
    if deed is None:
        del arrays[name]
    else:
        with np.errstate(all="ignore"):
            try:
                arrays[name] = _array(arrays[name], *deed)
            except (ValueError, TypeError, OverflowError):
                return content
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _array(values: np.ndarray, deed: str, *how) -> np.ndarray:
    if deed == "type":
        return values.astype(how[0])
    if deed == "length":
        return np.resize(values, max(0, values.size + how[0]))
    if deed == "order":
        return np.random.default_rng(how[0]).permutation(values)
    changed = np.atleast_1d(values).copy()
    if changed.dtype.kind in "iu":
        info = np.iinfo(changed.dtype)
        number = int(np.clip(np.nan_to_num(how[1], posinf=info.max, neginf=info.min), info.min, info.max))
        changed[int(how[0] * len(changed))] = number
    else:
        changed[int(how[0] * len(changed))] = how[1]
    return changed


# --- trees of mappings and lists

ODD_VALUES = (
    None, True, False, -1, 0, 1, 2**70, 0.5, -0.5, 1e300, float("nan"), float("inf"), "", "x", "../x", "a\nb",
    [], [1], ["a"], [[]], {}, {"a": 1}, {1: 2}, [None], "null", "1", b"x", (1, 2), {None: 1},
    {"x": {"y": []}},
)  # fmt: skip
ODD_KEYS = ("", "x", "../x", "a/b", "a\n", "größe", 1, None, True, 0.5, "options", "data")


def tree_changes() -> st.SearchStrategy[Callable]:
    """Changes of one value or key somewhere in nested mappings and lists."""
    return st.one_of(
        st.builds(lambda at, new: partial(_tree, at=at, value=new), PLACE, st.sampled_from(ODD_VALUES)),
        st.builds(lambda at, new: partial(_tree, at=at, key=new), PLACE, st.sampled_from(ODD_KEYS)),
        st.builds(lambda at: partial(_tree, at=at), PLACE),
    )


_NOTHING = object()


def _tree(tree, at: float, value=_NOTHING, key=_NOTHING):
    """The tree with a value replaced, a key replaced, or (without both) a part left out."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    if not places:
        return tree
    holder, name = places[int(at * len(places))]
    if value is not _NOTHING:
        holder[name] = value
    else:
        old = holder.pop(name)
        if key is not _NOTHING and isinstance(holder, dict):
            holder[key] = old
    return tree


def _places(tree):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, part in items:
        yield tree, name
        yield from _places(part)


def json_changes() -> st.SearchStrategy[Change]:
    return tree_changes().map(lambda change: partial(_json, change=change))


def _json(content: bytes, change) -> bytes:
    try:
        return json.dumps(change(json.loads(content))).encode()
    except (ValueError, TypeError):
        return content


def yaml_changes() -> st.SearchStrategy[Change]:
    return tree_changes().map(lambda change: partial(_yaml, change=change))


def _yaml(content: bytes, change) -> bytes:
    return yaml.safe_dump(change(yaml.safe_load(content))).encode()


# --- folders


def folder_changes(
    changes: dict[str, st.SearchStrategy[Change]],
) -> st.SearchStrategy[Callable[[Path], None]]:
    """Changes of one file of a folder, by its name; or the file left out."""
    return st.one_of(
        *[
            change.map(lambda change, name=name: partial(_file, name=name, change=change))
            for name, change in changes.items()
        ],
        st.sampled_from(sorted(changes)).map(lambda name: partial(_file, name=name, change=None)),
    )


def _file(folder: Path, name: str, change: Change | None) -> None:
    path = folder / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
