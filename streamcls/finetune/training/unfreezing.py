"""Which weights learn when."""

from collections.abc import Iterable, Iterator
from itertools import chain

import pytorch_lightning as lightning
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from streamcls.finetune.training.module import ClipClassifier
from streamcls.finetune.training.recipe import Recipe, Strategy


class Unfreezing(lightning.Callback):
    """Freezes and frees weights as each epoch begins.

    What an epoch trains follows from its number alone, so a run that is resumed goes on as it was.
    All weights are the optimiser's from the start; the frozen ones get no gradient, and AdamW
    leaves those alone, weight decay included.

    Args:
        head: the layer that always learns.
    """

    def __init__(self, recipe: Recipe, head: nn.Module) -> None:
        self._recipe = recipe
        self._head = head

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """As the epoch's number says."""
        assert isinstance(pl_module, ClipClassifier)
        network = pl_module.network
        freed = set(map(id, self._freed(network, trainer.current_epoch)))
        frozen = [layer for layer in _layers(network) if id(layer) not in freed]
        network.requires_grad_(True).train()
        for layer in frozen:
            if self._recipe.train_bn and isinstance(layer, _BatchNorm):
                continue
            for weight in layer.parameters(recurse=False):
                weight.requires_grad_(False)
            # Running statistics and dropout, too, stay as they were.
            layer.eval()

    def _freed(self, network: nn.Module, epoch: int) -> Iterable[nn.Module]:
        """The layers that learn in an epoch."""
        recipe, head = self._recipe, list(self._head.modules())
        layers = list(_layers(network))
        match recipe.strategy:
            case Strategy.NO_FREEZE:
                return layers
            case Strategy.FREEZE:
                return head
            case Strategy.FREEZE_UNFREEZE:
                return layers if epoch >= recipe.unfreeze_epoch else head
        first, second = recipe.milestones
        if epoch >= second:
            return layers
        last = [layer for layer in layers if _has_weights(layer)][-recipe.unfreeze_layers :]
        return chain(head, last) if epoch >= first else head


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    """Every module that holds weights of its own or none at all below it, in definition order."""
    for module in network.modules():
        if _has_weights(module) or not any(module.children()):
            yield module


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters(recurse=False))
