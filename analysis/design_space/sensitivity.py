"""The change of parameters and MACs with one step in each field of an architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analysis.design_space.closed_form import closed_form_macs, closed_form_parameters
from analysis.design_space.space import (
    FAMILY,
    FIELDS,
    KINDS,
    OPTIONAL,
    Space,
    config_from,
    described,
)
from featherface.config import ConfigError, FeatherFaceConfig


def sensitivity(
    config: FeatherFaceConfig, space: Space = FAMILY, size: tuple[int, int] = (640, 640)
) -> list[dict[str, Any]]:
    """Return the changes of parameters and MACs, one record a step.

    A step of a number goes to the next value of its range, up and down, with which there is a
    network; a step of a kind goes to each other kind. A kind that brings a field with it (a CBAM
    its reduction, a BiFPN its cells) takes that field's value from `config`.

    Args:
        config: where the steps start.
        space: the ranges.
        size: height and width of the picture that MACs are counted for.

    Returns:
        Dicts of `variant` (`None` without a name), `field`, `from`, `to`, `config` (see
        `analysis.design_space.space.described`), `height`, `width`, `params`, `macs`, their changes
        `params_change`, `macs_change`, and `reason`: why there is no such network, in which case
        `config` and the counts are `None`.

    Raises:
        InputError: for a size that no network of the family takes.
    """
    here = described(config)
    params, macs = closed_form_parameters(config), closed_form_macs(config, *size)
    records = []
    for field in FIELDS:
        for value, there, reason in _steps(config, field, space):
            record = {
                "variant": config.variant,
                "field": field,
                "from": here[field],
                "to": value,
                "config": None,
                "height": size[0],
                "width": size[1],
                "params": None,
                "macs": None,
                "params_change": None,
                "macs_change": None,
                "reason": reason,
            }
            if there is not None:
                record["config"] = described(there)
                record["params"] = closed_form_parameters(there)
                record["macs"] = closed_form_macs(there, *size)
                record["params_change"] = record["params"] - params
                record["macs_change"] = record["macs"] - macs
            records.append(record)
    return records


def _steps(
    config: FeatherFaceConfig, field: str, space: Space
) -> Iterator[tuple[Any, FeatherFaceConfig | None, str | None]]:
    here = getattr(config, field)
    if field in KINDS:
        for kind in getattr(space, field):
            if kind != here:
                yield kind, *_changed(config, field, kind)
        return
    if field in OPTIONAL and described(config)[field] is None:
        kind, none = OPTIONAL[field]
        yield None, None, f"{kind} {none!r} has no {field}"
        return
    values = sorted(getattr(space, field))
    for onwards in (
        [v for v in reversed(values) if v < here],
        [v for v in values if v > here],
    ):
        steps = ((value, *_changed(config, field, value)) for value in onwards)
        possible = next((step for step in steps if step[1] is not None), None)
        if possible is not None:
            yield possible


def _changed(
    config: FeatherFaceConfig, field: str, value: Any
) -> tuple[FeatherFaceConfig | None, str | None]:
    # From every field, present or not: what a new kind brings with it keeps its value.
    values = {name: getattr(config, name) for name in FIELDS} | {field: value}
    try:
        return config_from(values), None
    except ConfigError as error:
        return None, str(error)
