# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which architecture did they count?
#
# A number of parameters is a fingerprint. Given 487,103, one can ask: which networks of this family
# have exactly that many? The family is small enough to count *all* of it, so that an empty answer
# is a proof and not a failed search.

# %%
import pandas as pd
from IPython.display import SVG

from analysis.cost.counters import reconcile
from analysis.design_space.facts import load_facts
from analysis.design_space.landscape import landscape
from analysis.design_space.search import search
from analysis.design_space.sensitivity import sensitivity
from analysis.report.plots import design_space as plots
from analysis.report.plots.style import render
from featherface import CONFIGS

CARD = load_facts("card")

# %% [markdown]
# ## The card's total
#
# The space: 8 to 256 channels, 1 to 8 pyramid cells, 1 to 3 anchors a cell, attention in none, one
# or both places with nine reductions, seven kinds of context, two kinds of channel shuffle.


# %%
def matches(total: int) -> pd.DataFrame:
    """The architectures with that many parameters, best first by what the card states besides."""
    found = search(total, facts=CARD)
    print(f"{found['found']} of {found['looked_at']:,} architectures have {total:,} parameters")
    return pd.DataFrame(
        [
            match["config"] | {"agrees with the card": f"{match['facts_agreeing']} of {len(CARD)}"}
            for match in found["matches"]
        ]
    )


matches(487_103)

# %% [markdown]
# Two. Only the first has the 74 channels and the two attention modules that the card states, and
# its context is an ordinary convolution. So whoever counted 487,103 counted a network *without*
# deformable convolutions. They also used a reduction of 48; the card prints 16.
#
# ## The paper's code
#
# The released code has 592,371 parameters, and that total has a single owner:

# %%
matches(592_371)

# %% [markdown]
# ## So where does 0.49 M come from?
#
# There are two explanations, and both fit. The first is an earlier revision of the code, without
# attention:

# %%
matches(489_015)

# %% [markdown]
# The second is a counter. `thop` counts a parameter when the module that holds it is *called*. A
# deformable kernel is passed to a function and its module never called, so its weights do not
# appear; nor do the fusion weights of the pyramid.

# %%
reconciliation = reconcile("official")
if reconciliation["thop_params"] is None:
    print("Skipped: thop is not installed here; pip install thop setuptools")
pd.DataFrame(reconciliation["dropped"], columns=["type", "params", "by_part"])

# %%
{key: value for key, value in reconciliation.items() if isinstance(value, int | str)}

# %% [markdown]
# 592,371 parameters, of which the counter sees 488,661: 0.49 M. Nothing on record says which of the
# two the authors had in mind, so both stay on the table.
#
# ## One step in each direction
#
# How far would another choice have moved the total? A bar is one step in one field, with everything
# else as in `v1`.

# %%
SVG(render(plots.sensitivity(sensitivity(CONFIGS["v1"])), "svg"))

# %% [markdown]
# And this is where all of them lie. Each panel is one kind of context module; grey is the rest.

# %%
SVG(render(plots.landscape(landscape()), "svg"))

# %% [markdown]
# **Your own number**: `featherface search --params N --facts card` does the same on the command
# line; `--channels 64` or `--not context=plain` narrows it, `--macs` asks about work instead.
