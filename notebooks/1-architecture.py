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
# # The architecture, block by block, and what was said about it
#
# FeatherFace is a face detector of seven blocks; its paper states *0.49 M parameters*. This
# notebook builds the four networks that go by the name and their baseline, counts the parameters of
# each block, and compares them with what the paper, the model card and the repositories state.

# %%
from dataclasses import replace

import pandas as pd
from IPython.display import SVG, Markdown

from analysis.claims import verdicts as compliance
from analysis.cost.blocks import measure_blocks, measure_layers
from analysis.cost.trace import count_parameters
from analysis.report.diagram.drawing import static_svg
from featherface import CONFIGS, FeatherFace

pd.options.display.float_format = "{:,.3f}".format
pd.options.display.max_colwidth = 90

# %% [markdown]
# ## Five networks
#
# The model card is a diagram with figures, by the owner of a fork. `v1` has the total that it
# prints, `v1-deformable` is the network that it *draws*. `official` is the code that the paper's
# authors published. `no-attention` was made by the owner of the fork half a year after the paper,
# and `retinaface` is the baseline that the paper compares with. One configuration class describes
# all five.

# %%
records = {variant: measure_blocks(variant, 640, 640) for variant in CONFIGS}
pd.DataFrame(
    [
        {
            "variant": variant,
            "parameters": record["params"],
            "GMACs at 640×640": record["macs"] / 1e9,
            "of these in deformable kernels": record["macs_by_kind"]["deformable_kernel"] / 1e9,
            "channels": CONFIGS[variant].channels,
            "context": CONFIGS[variant].context,
            "attention": CONFIGS[variant].attention,
        }
        for variant, record in records.items()
    ]
).set_index("variant").style.format(thousands=",", precision=3)

# %% [markdown]
# None of them has 0.49 M parameters, deformable convolutions and attention, all three at once. `v1`
# has no deformable convolution, and `no-attention` has no attention.
#
# ## Where the parameters are
#
# The network's direct children are the seven blocks, so the rows add up to the whole.

# %%
VARIANT = "official"

model = FeatherFace(VARIANT)
pd.Series(
    {name: sum(p.numel() for p in block.parameters()) for name, block in model.named_children()},
    name="parameters",
).to_frame().style.format(thousands=",")

# %%
blocks = pd.DataFrame(records[VARIANT]["blocks"])
columns = ["title", "params", "params_share", "macs", "macs_share"]
blocks[columns].style.format(
    {"params": "{:,}", "macs": "{:,}", "params_share": "{:.1%}", "macs_share": "{:.1%}"}
).hide()

# %% [markdown]
# In `official` the context, where every convolution is deformable, takes more than half of the MACs
# with less than half of the parameters. Attention, two of the seven blocks, takes little of
# either.

# %%
# Figure: The seven blocks of official from left to right on three levels, with parameters, MACs and
# output shapes of each; the table above has the numbers.
SVG(static_svg(records[VARIANT], measure_layers(VARIANT, 640, 640)))

# %% [markdown]
# The layers that take the most MACs; modules that only hold others are left out:

# %%
layers = pd.DataFrame(measure_layers(VARIANT, 640, 640))
holders = {path.rpartition(".")[0] for path in layers["path"]}
leaves = layers[~layers["path"].isin(holders)]
leaves.sort_values("macs", ascending=False)[["path", "type", "params", "macs"]].head(12)

# %% [markdown]
# ## The verdicts
#
# What the card, the paper and the published repositories say is kept in *ledgers*: a sentence, the
# figure as printed, and an expression that measures it. The verdict is computed:
#
# - **confirmed**: the measurement gives the printed figure;
# - **explained**: another convention gives it, which is named;
# - **refuted**: no convention does;
# - **untested**: it cannot be measured, and the reason says what is missing.

# %%
verdicts = pd.DataFrame([verdict.as_dict() for verdict in compliance.audit()])
pd.crosstab(verdicts["source"], verdicts["verdict"], margins=True)

# %% [markdown]
# The first of the card's refuted lines, with what was measured instead:

# %%
refuted = verdicts.query("source == 'card' and verdict == 'refuted'")
refuted[["statement", "printed", "explanation"]].head(12).style.hide()

# %% [markdown]
# The card's total is that of a network without the deformable convolutions it draws:

# %%
total = verdicts.query("source == 'card' and statement.str.contains('487,103')")
Markdown(
    "\n".join(
        f"- {row.verdict}: *{row.statement}.* {row.explanation}" for row in total.itertuples()
    )
)

# %% [markdown]
# **To check one yourself**: `featherface audit --source card --verdict refuted` on the command
# line, or the next cell with another configuration. `CONFIGS` are frozen dataclasses; `replace`
# makes a new network.

# %%
as_printed = replace(CONFIGS["v1"], reduction=16)
f"v1 with the printed reduction of 16 has {count_parameters(FeatherFace(as_printed)):,} parameters"
