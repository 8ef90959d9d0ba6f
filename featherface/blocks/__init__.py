"""The blocks of the network, one file each, as ordinary modules."""
