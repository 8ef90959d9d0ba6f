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
# # Which architectures have a published total
#
# Which networks of this family have exactly 487,103 parameters, the total that the model card
# prints? The family is small enough to count *all* of it, so an answer of "none" is proved.

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
# Two. Only the first has the 74 channels and the two attention modules that the card states. Its
# context is an ordinary convolution and its reduction 48; the card draws deformable convolutions
# and prints 16.
#
# ## The paper's code
#
# The code that the authors published has 592,371 parameters; no other architecture has as many:

# %%
matches(592_371)

# %% [markdown]
# ## Where 0.49 M comes from
#
# `thop`, which the authors' training script calls, counts a parameter when the module that holds it
# is *called*. A deformable kernel is passed to a function and its module never called, so its
# weights are not counted; nor are the fusion weights of the pyramid.

# %%
reconciliation = reconcile("official")
if reconciliation["thop_params"] is None:
    print("Skipped: thop is not installed here; pip install thop setuptools")
pd.DataFrame(reconciliation["dropped"], columns=["type", "params"])

# %%
pd.Series(
    {"parameters": reconciliation["params"], "as thop counts": reconciliation["thop_params"]},
    name="official",
).to_frame()

# %% [markdown]
# 592,371 parameters, of which the counter sees 488,661: the paper's 0.49 M. A network that has 0.49
# M parameters and deformable convolutions exists, too, without attention. The owner of a fork made
# it half a year after the paper, so that the paper cannot have counted it:

# %%
matches(489_015)

# %% [markdown]
# ## One step in each direction
#
# How much does another choice change the total? Each bar is one step in one field of `v1`, with all
# other fields as they are.

# %%
# Figure: Change of parameters and MACs of v1 with one step in each field, as bars.
SVG(render(plots.sensitivity(sensitivity(CONFIGS["v1"])), "svg"))

# %% [markdown]
# All architectures by parameters and MACs. Each panel is one kind of context; grey is the rest.

# %%
# Figure: All architectures by parameters and MACs, a panel a kind of context, with the five
# networks marked.
SVG(render(plots.landscape(landscape()), "svg"))

# %% [markdown]
# **Your own number**: `featherface search --params N --facts card` does the same on the command
# line; `--channels 64` or `--not context=plain` narrows it, `--macs` searches by MACs instead.
