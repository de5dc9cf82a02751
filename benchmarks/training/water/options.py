"""metatrain's options for a recipe at a scale."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

ENERGY_WEIGHTS = {"plain": 3.0e-3, "gradient": 3.0e-4, "after": 3.0e-3}
"""Of the squared error of an energy in units of the energies' spread, beside forces in units of theirs. Back-propagated forces that begin at random
weights learn nothing for as long as the error of the energies is the larger part of the loss: they get a tenth."""
GRADIENT_WEIGHT = 2.0e-5
"""Of the energy's gradients. metatrain measures them in units of the energies' spread, in which they are larger than direct forces by
(force spread / energy spread)², about 6e4 on this set: this weight makes the two alike."""
HEAD_WEIGHT = 1.0


@dataclass(frozen=True)
class Recipe:
    """The training of one model of the paper."""

    name: str
    architecture: str
    forces: str
    """``gradient``, ``head`` or ``both``."""
    targets: tuple[str, ...]
    """``V``, ``f``."""
    fills: Mapping[str, str]
    """Keys of the paper's models, and their force mode."""
    layers: int | None = None
    after: str = ""
    """The recipe whose weights it starts from."""

    @property
    def has_head(self) -> bool:
        """Whether forces have a separate output."""
        return self.forces in ("head", "both")

    @property
    def has_gradient(self) -> bool:
        """Whether forces from the energy are in the loss."""
        return self.forces in ("gradient", "both") and "f" in self.targets

    @property
    def has_energy(self) -> bool:
        """An energy output: a model with only a force head has none."""
        return self.forces != "head" or "V" in self.targets

    @property
    def cost(self) -> str:
        """Cost class of an epoch: back-propagated forces need a second pass; ``after``: likewise, from another's weights."""
        return "after" if self.after else "gradient" if self.has_gradient else "plain"


@dataclass(frozen=True)
class Scale:
    """Sizes of the models and lengths of the training."""

    name: str
    seed: int
    limit: int | None
    """Frames of each part of the split; ``None``: all."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Model options by architecture."""
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Training options by architecture."""
    epochs: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By architecture and cost."""

    def trains(self, recipe: Recipe) -> bool:
        """Whether the scale has the recipe's architecture."""
        return recipe.architecture in self.models

    def epochs_of(self, recipe: Recipe) -> int:
        """Epochs of a recipe."""
        return self.epochs[recipe.architecture][recipe.cost]


def recipes() -> dict[str, Recipe]:
    """All entries by name."""
    content = tomllib.loads((HERE / "recipes.toml").read_text(encoding="utf-8"))
    return {name: Recipe(name, **{**entry, "targets": tuple(entry["targets"])}) for name, entry in content.items()}


def scales() -> dict[str, Scale]:
    """All entries by name."""
    content = tomllib.loads((HERE / "scales.toml").read_text(encoding="utf-8"))
    return {name: Scale(name, entry.pop("seed"), entry.pop("limit", None), **entry) for name, entry in content.items()}


def options(recipe: Recipe, scale: Scale) -> dict[str, Any]:
    """The contents of metatrain's ``options.yaml``, for a folder next to ``train.xyz`` and ``validation.xyz``."""
    model = dict(scale.models[recipe.architecture])
    if recipe.layers is not None:
        model["num_gnn_layers"] = recipe.layers
    training = {
        **scale.training[recipe.architecture],
        "num_epochs": scale.epochs_of(recipe),
        "num_workers": 0,
        # A product of errors would include energies that are not in the loss.
        "best_model_metric": "loss",
        "loss": _loss(recipe),
    }
    if recipe.after:
        training["finetune"] = {"method": "full", "read_from": f"../{recipe.after}/model.ckpt"}
    return {
        "seed": scale.seed,
        "base_precision": 32,
        "architecture": {"name": recipe.architecture, "model": model, "training": training},
        "training_set": _part(recipe, "train"),
        "validation_set": _part(recipe, "validation"),
    }


def _loss(recipe: Recipe) -> dict[str, Any]:
    loss: dict[str, Any] = {}
    if recipe.has_energy:
        loss["energy"] = {"type": "mse", "weight": ENERGY_WEIGHTS[recipe.cost] if "V" in recipe.targets else 0.0}
        if recipe.has_gradient:
            loss["energy"]["gradients"] = {"positions": {"type": "mse", "weight": GRADIENT_WEIGHT}}
    if recipe.has_head:
        loss["non_conservative_forces"] = {"type": "mse", "weight": HEAD_WEIGHT}
    return loss


def _part(recipe: Recipe, name: str) -> dict[str, Any]:
    targets: dict[str, Any] = {}
    if recipe.has_energy:
        forces = {"key": "forces_dft"} if recipe.has_gradient else False
        targets["energy"] = {
            "quantity": "energy",
            "key": "energy_dft",
            "unit": "eV",
            "forces": forces,
            "stress": False,
        }
    if recipe.has_head:
        targets["non_conservative_forces"] = {
            "quantity": "force",
            "key": "forces_dft",
            "unit": "eV/A",
            "sample_kind": "atom",
            "type": {"cartesian": {"rank": 1}},
        }
    return {"systems": {"read_from": f"../{name}.xyz", "length_unit": "angstrom"}, "targets": targets}
