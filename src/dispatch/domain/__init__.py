"""The rulebook: pure Python, standard library only, no I/O and no clock."""
