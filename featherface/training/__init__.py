"""Training and distillation of the family's networks (`featherface train`).

`recipe` holds the settings, `data` and `augment` make crops on the device that trains, `losses`
and `distil` say what is learned, `step` takes one step, `loop` a whole run, `holdout` measures it.
`pack` carries images to another machine, `processes` divides batches (extra `train`).
"""
