"""The change of parameters and MACs with one step in each field of an architecture."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from analysis.design_space.closed_form import closed_form_macs, closed_form_parameters
from analysis.design_space.space import FAMILY, FIELDS, KINDS, OPTIONAL, config_from, described
from featherface.config import ConfigError, FeatherFaceConfig


def sensitivity(
    config: FeatherFaceConfig, size: tuple[int, int] = (640, 640)
) -> list[dict[str, Any]]:
    """Return the changes of parameters and MACs, one record a step.

    A step of a number goes to the next value of its range in `FAMILY`, up and down, with which
    there is a network; a step of a kind goes to each other kind. A kind that brings a field with it
    (a CBAM its reduction, a BiFPN its cells) takes that field's value from `config`.

    Args:
        config: where the steps start.
        size: height and width of the image that MACs are counted for.

    Returns:
        Dicts of `variant` (`None` without a name), `field`, `from`, `to`, `config` (see
        `analysis.design_space.space.described`), `height`, `width`, `params`, `macs`, their changes
        `params_change`, `macs_change`, and `reason`: why there is no such network, in which case
        `config` and the counts are `None`.

    Raises:
        InputError: for a size that no network of the family takes.
    """
    params, macs = closed_form_parameters(config), closed_form_macs(config, *size)
    records = []
    for field in FIELDS:
        for value, there in _steps(config, field):
            record: dict[str, Any] = {
                "variant": config.variant,
                "field": field,
                "from": described(config)[field],
                "to": value,
                "config": None,
                "height": size[0],
                "width": size[1],
            }
            record |= dict.fromkeys(("params", "macs", "params_change", "macs_change", "reason"))
            if isinstance(there, str):
                record["reason"] = there
            else:
                record["config"] = described(there)
                record["params"] = closed_form_parameters(there)
                record["macs"] = closed_form_macs(there, *size)
                record["params_change"] = record["params"] - params
                record["macs_change"] = record["macs"] - macs
            records.append(record)
    return records


def _steps(config: FeatherFaceConfig, field: str) -> Iterator[tuple[Any, FeatherFaceConfig | str]]:
    """Yield values of a field, each with the network that has it or why there is none."""
    here = getattr(config, field)
    if field in KINDS:
        for kind in KINDS[field]:
            if kind != here:
                yield kind, _changed(config, field, kind)
    elif field in OPTIONAL and described(config)[field] is None:
        kind, none = OPTIONAL[field]
        yield None, f"{kind} {none!r} has no {field}"
    else:
        values = sorted(getattr(FAMILY, field))
        down, up = [v for v in reversed(values) if v < here], [v for v in values if v > here]
        for onwards in (down, up):
            steps = ((value, _changed(config, field, value)) for value in onwards)
            possible = (step for step in steps if not isinstance(step[1], str))
            yield from islice(possible, 1)


def _changed(config: FeatherFaceConfig, field: str, value: Any) -> FeatherFaceConfig | str:
    # From every field, present or not: what a new kind brings with it keeps its value.
    values = {name: getattr(config, name) for name in FIELDS} | {field: value}
    try:
        return config_from(values)
    except ConfigError as error:
        return str(error)
