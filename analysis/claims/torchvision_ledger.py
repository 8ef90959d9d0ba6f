"""The figures that torchvision publishes of its own networks, as ledgers.

The installed package holds them beside each set of weights, `meta["num_params"]` and
`meta["_ops"]`; nothing is downloaded. torchvision counted the operations with what the weights'
transforms make of an image of 512×512 random values (16 of them for videos).
"""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import get_model, get_model_weights, list_models

from analysis.claims.ledger import Claim, Ledger, Source

SIDE = 512
"""Of the image that torchvision counted with, before the transforms."""

_VERSION = torchvision.__version__.partition("+")[0]
_SOURCE = Source(
    id="torchvision",
    title="torchvision's figures of its own networks",
    what='meta["num_params"] and meta["_ops"] of every set of weights',
    where=f"torchvision {_VERSION}",
)
_DETECTOR = f"{__name__}:Detector"
_NO_VALUES = {"init_weights": False}  # else some networks warn and take seconds


def ledgers() -> list[Ledger]:
    """Return a ledger for each set of weights that the installed torchvision describes."""
    return [_ledger(name, weights) for name in list_models() for weights in get_model_weights(name)]


class Detector(nn.Module):
    """A detection network of torchvision for given numbers of regions, without their selection.

    Which proposals and objects are left depends on the trained weights, and the cost of the heads
    that look at each on how many there are.

    Args:
        name: of the network in torchvision.
        proposals: regions that the box head looks at; by default as many as the network allows.
        objects: regions that mask and keypoint heads look at; by default as many as it allows.
    """

    def __init__(self, name: str, proposals: int | None = None, objects: int | None = None):
        super().__init__()
        self.network = get_model(name, weights=None, weights_backbone=None).eval()
        if hasattr(self.network, "rpn"):
            most = self.network.rpn.post_nms_top_n()
            self.proposals = most if proposals is None else proposals
            most = self.network.roi_heads.detections_per_img
            self.objects = min(self.proposals, most if objects is None else objects)

    def forward(self, images: Tensor) -> list[Any]:
        """Return the raw outputs of all heads for (1, 3, H, H) images."""
        transform = self.network.transform
        side = min(transform.min_size[-1], transform.max_size)
        images = F.interpolate(images, transform.fixed_size or (side, side))
        features = self.network.backbone(images)
        features = list(features.values()) if isinstance(features, dict) else [features]
        if not hasattr(self.network, "rpn"):
            return [self.network.head(features)]
        heads = self.network.roi_heads
        outputs = [self.network.rpn.head(features)]
        kinds = {"box": self.proposals}
        kinds |= {
            kind: self.objects for kind in ("mask", "keypoint") if getattr(heads, f"has_{kind}")()
        }
        for kind, count in kinds.items():
            size = getattr(heads, f"{kind}_roi_pool").output_size
            regions = images.new_zeros(count, self.network.backbone.out_channels, *size)
            regions = getattr(heads, f"{kind}_head")(regions)
            outputs.append(getattr(heads, f"{kind}_predictor")(regions))
        return outputs


def _ledger(name: str, weights: Any) -> Ledger:
    task = type(weights).__module__.split(".")[-2]
    title = f"{name}, {weights.name}"
    identity = f"{name}-{weights.name}".lower().replace("_", "-")
    readings = _readings(name, task)
    count, operations = weights.meta["num_params"], f"{weights.meta['_ops']:.3f}"
    common = {"where": f"torchvision {_VERSION}: {title}"}
    params = {
        "id": f"{identity}-params",
        "statement": f"{title} has {count:,} parameters",
        "claimed": count,
        "unit": "parameters",
        "printed": f"{count:,}",
        "kind": "parameters",
        "measure": "params()",
        "alternatives": readings["params"],
    }
    macs = {
        "id": f"{identity}-ops",
        "statement": f"{title} takes {operations} · 10⁹ operations",
        "claimed": float(operations),
        "unit": "GMACs",
        "printed": operations,
        "kind": "macs",
        "measure": "macs() / 1000000000",
        "alternatives": readings["macs"],
    }
    return Ledger(
        source=_SOURCE,
        subject=_DETECTOR if task == "detection" else f"torchvision:{name}",
        input=_inputs(task, weights.transforms()),
        arguments=_arguments(name, task, weights.transforms()),
        claims=[Claim.model_validate(common | claim) for claim in (params, macs)],
    )


def _inputs(task: str, transforms: Any) -> list[str]:
    """Return the inputs that the transforms of the weights make of what torchvision took."""
    match task:
        case "detection":
            return [f"1 3 {SIDE} {SIDE}"]  # a part of the network resizes it
        case "optical_flow":
            return [f"1 3 {SIDE} {SIDE}"] * 2
        case "segmentation":
            return [f"1 3 {transforms.resize_size[0]} {transforms.resize_size[0]}"]
        case "video":
            height, width = transforms.crop_size
            return [f"1 3 16 {height} {width}"]
    return [f"1 3 {transforms.crop_size[0]} {transforms.crop_size[0]}"]


def _arguments(name: str, task: str, transforms: Any) -> dict[str, Any]:
    if task == "detection":
        return {"name": name}
    if name.startswith("vit_"):
        return {"image_size": transforms.crop_size[0]}  # the positions that are learnt depend on it
    return _NO_VALUES if name.endswith(("googlenet", "inception_v3")) else {}


def _readings(name: str, task: str) -> dict[str, list[dict[str, str]]]:
    """Return, by figure, the conventions under which it may hold where it does not as built."""
    readings: dict[str, list[dict[str, str]]] = {"params": [], "macs": []}

    def both(reading: str, change: str) -> None:
        readings["params"].append({"reading": reading, "measure": f"params({change})"})
        readings["macs"].append({"reading": reading, "measure": f"macs({change}) / 1000000000"})

    if name.endswith("googlenet"):
        both("without the auxiliary classifiers, which only training uses", "aux_logits=False")
    if task == "segmentation" and not name.startswith("lraspp"):
        both("with the auxiliary classifier, which only training uses", "aux_loss=True")
    if task == "detection":
        frozen = "params() - params_of('BatchNorm2d', 'network.backbone.body')"
        reading = "the backbone's batch normalisation is frozen"
        readings["params"].append({"reading": reading, "measure": frozen})
        for reading, change in (
            ("no object is left of the noise", "objects=0"),
            ("one object is left of the noise", "objects=1"),
            ("no proposal is left of the noise", "proposals=0"),
        ):
            measure = f"macs({change}) / 1000000000"
            readings["macs"].append({"reading": reading, "measure": measure})
    return readings
