"""A network of the zoo at its own size, with random weights that tell clips apart."""

from itertools import islice
from pathlib import Path

import torch
from torch import nn

from streamcls.frames import RgbClip
from streamcls.models.bundle import LoadedModel, load_bundle, write_bundle
from streamcls.models.golden import golden_clip, golden_windows
from streamcls.models.heads import find_head
from streamcls.models.scoring import logits_of
from streamcls.models.zoo import ZOO, build_network, num_outputs

_CPU = torch.device("cpu")


@torch.no_grad()
def random_model(name: str, folder: Path, device: torch.device = _CPU) -> LoadedModel:
    """A model file of the network, loaded.

    Its batch norms have seen clips, and its scores differ from clip to clip: of weights as they
    are drawn every clip would have the same label, whoever computes them.
    """
    torch.manual_seed(0)
    network, spec = build_network(name).eval(), ZOO[name].clip_spec
    golden = golden_clip(spec)
    clips: list[RgbClip] = [golden, golden[::-1].copy(), 255 - golden[:, :, ::-1]]
    clips += islice(golden_windows(spec, 5), 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = None  # the plain mean over what they see
            module.train()
    for clip in clips:
        logits_of(network, [clip], spec, _CPU)
    network.eval()
    head = find_head(network)
    logits = torch.cat([logits_of(network, [clip], spec, _CPU) for clip in clips])
    scale = 3 / (logits - logits.mean(0)).std()
    head.weight.mul_(scale)
    head.bias.copy_((head.bias - logits.mean(0)) * scale)
    path = folder / f"{name}.safetensors"
    write_bundle(
        path,
        network=network,
        name=name,
        architecture=name,
        arguments={},
        labels=[f"label {index}" for index in range(num_outputs(network))],
        clip_spec=spec,
    )
    return load_bundle(path, device)
