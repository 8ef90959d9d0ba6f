"""The design space of the family in closed form: which architectures have N parameters."""
