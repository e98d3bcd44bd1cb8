"""How the whole service stands, in numbers for its operators."""
