"""Put what the site's page "Try it" needs into docs/detector/: v1 and a runtime for browsers.

    npm ci --prefix scripts/web && python scripts/web_detector.py [FOLDER]

Without it the site builds all the same, and the page says what it would show.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

from featherface.config import LEVELS
from featherface.files import write_bytes, write_json
from featherface.runtimes.export import export

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / "scripts" / "web" / "node_modules" / "onnxruntime-web"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
ATTENTIONS = ("first_attention", "second_attention")


def gates() -> list[dict[str, str]]:
    """Return the names of the gates of every attention and level, as they are in the graph."""
    return [
        {
            "attention": attention,
            "level": level,
            "channel": f"{attention}.{level}.channel_gate",
            "spatial": f"{attention}.{level}.spatial_gate",
        }
        for attention in ATTENTIONS
        for level in LEVELS
    ]


def network() -> tuple[bytes, dict[str, Any]]:
    """Return v1 as ONNX, with its gates among the outputs, and what the page must know of it."""
    with tempfile.TemporaryDirectory() as folder:
        export("v1", Path(folder) / "v1.onnx")
        model = onnx.load(Path(folder) / "v1.onnx")
    for gate in gates():
        for kind in ("channel", "spatial"):
            value = onnx.helper.make_tensor_value_info(
                gate[kind], onnx.TensorProto.FLOAT, [None] * 4
            )
            model.graph.output.append(value)
    onnx.checker.check_model(model)
    written = {p.key.removeprefix("featherface."): p.value for p in model.metadata_props}
    keys = ("preprocessing", "decoding")
    described = {key: json.loads(written[key]) for key in keys}
    described |= {"weights_sha256": written["weights_sha256"], "gates": gates()}
    return model.SerializeToString(), described


def main(out: Path) -> int:
    """Write the files into a folder; return the exit code."""
    missing = [name for name in FILES if not (RUNTIME / "dist" / name).is_file()]
    if missing:
        message = f"{RUNTIME / 'dist' / missing[0]}: not there; run npm ci --prefix scripts/web"
        print(message, file=sys.stderr)
        return 2
    out.mkdir(exist_ok=True)
    content, described = network()
    write_bytes(out / "v1.onnx", content)
    write_json(out / "v1.json", described)
    for name in FILES:
        shutil.copyfile(RUNTIME / "dist" / name, out / name)
    from matplotlib import get_data_path

    # A portrait in the public domain, which matplotlib brings.
    shutil.copyfile(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg", out / "sample.jpg")
    total = sum(path.stat().st_size for path in out.iterdir())
    print(f"{out}: {total / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "detector"))
