"""One module a command: reads its arguments, calls the packages, prints what they return."""
