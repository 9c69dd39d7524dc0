"""Checkpoints as TensorFlow writes them, and what the network in one computes, by NumPy alone."""

import struct

import numpy as np

from baselines.ffn.model import ConvStack


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block of a sorted table whose keys share what they can, with its trailer: no compression, no checksum."""
    out, last = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(len(key), len(last)))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return out + struct.pack("<II", 0, 1) + b"\0" + bytes(4)


def write_checkpoint(prefix, variables: dict[str, np.ndarray]) -> None:
    """What TensorFlow's BundleWriter writes, as far as a reader needs it."""
    data, entries = b"", [(b"", b"\x08\x01")]
    for name in sorted(variables):
        value = np.ascontiguousarray(variables[name])
        dimensions = b"".join(b"\x12" + varint(len(d)) + d for d in (b"\x08" + varint(n) for n in value.shape))
        dtype = {"float32": 1, "int64": 9}[value.dtype.name]
        entry = b"\x08" + varint(dtype) + b"\x12" + varint(len(dimensions)) + dimensions
        entry += b"\x20" + varint(len(data)) + b"\x28" + varint(value.nbytes) + b"\x35" + bytes(4)
        entries.append((name.encode(), entry))
        data += value.tobytes()
    half = len(entries) // 2
    content, handles = b"", []
    for part in (entries[:half], entries[half:]):
        written = block(part)
        handles.append((part[-1][0], varint(len(content)) + varint(len(written) - 5)))
        content += written
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(content)) + varint(len(index) - 5)
    content += index + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(prefix.name + ".index").write_bytes(content)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)


def variables_of(network: ConvStack) -> dict[str, np.ndarray]:
    """The network's parameters under TensorFlow's names, kernels z, y, x, in, out."""
    layers = {"seed_update/conv_lom": network.last}
    for i in range(network.depth):
        layers |= {f"seed_update/conv{i}_a": network.conv_a[i], f"seed_update/conv{i}_b": network.conv_b[i]}
    found = {}
    for name, layer in layers.items():
        found[f"{name}/weights"] = layer.weight.detach().numpy().transpose(2, 3, 4, 1, 0)
        found[f"{name}/biases"] = layer.bias.detach().numpy()
    return found


def evaluate_by_numpy(variables, image, logits) -> np.ndarray:
    """The network from the checkpoint's variables alone: each convolution is 27 shifted products, in float64."""

    def convolve(x, name):
        weights, biases = variables[f"seed_update/{name}/weights"], variables[f"seed_update/{name}/biases"]
        reach = weights.shape[0] // 2
        padded = np.pad(x, [(reach, reach)] * 3 + [(0, 0)])
        out = np.zeros((*x.shape[:3], weights.shape[-1]))
        for z, y, x0 in np.ndindex(*weights.shape[:3]):
            part = padded[z : z + x.shape[0], y : y + x.shape[1], x0 : x0 + x.shape[2]]
            out += part @ weights[z, y, x0].astype(np.float64)
        return out + biases

    x = np.stack([image, logits], axis=-1).astype(np.float64)
    x = convolve(np.maximum(convolve(x, "conv0_a"), 0), "conv0_b")
    depth = sum(name.endswith("_a/weights") for name in variables)
    for i in range(1, depth):
        x = x + convolve(np.maximum(convolve(np.maximum(x, 0), f"conv{i}_a"), 0), f"conv{i}_b")
    return logits + convolve(np.maximum(x, 0), "conv_lom")[..., 0]
