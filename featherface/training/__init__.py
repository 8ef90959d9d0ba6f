"""Training and distillation: the recipe, its data, losses and loop (extra `train`)."""
