"""Files on a disk of ours: how they come in, what is made of them, where they lie."""
