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
# # What attention and offsets do to a picture
#
# Attention maps make pretty figures, and a pretty figure proves nothing. So this notebook looks
# twice: first at what the gates and offsets *are* on an image, then at what happens to the faces
# when each of them is ablated.
#
# Put the path of an image of your own into `PICTURE` and run all cells. Where the weights of
# `official` cannot be downloaded, those of `v1` that come with the package are looked at; that
# network has gates and no offsets.

# %%
from pathlib import Path

import pandas as pd
from IPython.display import SVG, Markdown, display
from matplotlib.cbook import get_sample_data

from analysis.maps import load_for_maps, measure_maps
from analysis.report.plots.maps import draw_maps
from featherface.weights.published import CheckpointError

PICTURE = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
WEIGHTS = "official"  # or "no-attention", "v1", or a checkpoint of yours

# %%
try:
    model = load_for_maps(WEIGHTS)
except CheckpointError as error:
    print(f"v1 instead of {WEIGHTS}: {error}")
    WEIGHTS = "v1"
    model = load_for_maps(WEIGHTS)
maps = measure_maps(model, PICTURE, weights=WEIGHTS)
drawn = dict(draw_maps(maps))


# %%
def figure(name: str) -> None:
    """Show one of the figures, if the network has it."""
    display(SVG(drawn[name]) if name in drawn else Markdown(f"*{WEIGHTS} has no {name}.*"))


# %% [markdown]
# ## The gates
#
# CBAM multiplies every channel by one number and every position by another, both between 0 and 1.
# The map below is the second kind. Each cell is drawn where its receptive field is centred, and all
# share one colour scale, so that a difference between two maps is one.

# %%
figure("gates")

# %%
figure("channels")

# %% [markdown]
# What remains of the activation behind the gates, inside the faces and outside:

# %%
pd.json_normalize(maps.record["attention"]).iloc[:, :12]

# %% [markdown]
# ## The offsets
#
# An ordinary convolution looks at nine cells in a square. A deformable one moves each of the nine
# to where the input tells it to. Circles are where it looks, sized by the weight of the point; the
# thin grid is where an ordinary one would.

# %%
figure("points-1")

# %%
figure("reach")

# %% [markdown]
# ## And what do they *do*?
#
# The same picture again, with offsets set to zero, masks to one, or a gate left out. If a part
# matters to this picture, the score and the box move.

# %%
pd.json_normalize(maps.record["effects"]).iloc[:, :10]

# %%
figure("effects")

# %% [markdown]
# A network trained with a part has learned to rely on it, so what a missing part breaks is not what
# it *adds*: for that, compare networks trained without it, as `no-attention` was. Average precision
# is in the next notebook.
#
# **As files**: `featherface maps picture.jpg --out maps --npz` writes all figures and arrays.
