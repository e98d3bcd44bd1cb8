"""Files from people: announced, sent, looked through, handed in, read, forgotten."""
